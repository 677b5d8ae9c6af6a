package rescaler.jobs.events;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/**
 * A product appeared in a search result.
 *
 * @param timestamp intended time of the event, ms since the epoch
 * @param product the product of the catalogue
 * @param category the product's category
 * @param rank position in the result, 0 is the top
 * @param ingestionTime when the source decoded the event, ms since the epoch
 */
public record Search(long timestamp, long product, long category, long rank, long ingestionTime)
        implements Event {
    /** Flink's type information of the event. */
    public static final RecordType<Search> TYPE = RecordType.of(Search.class, new Format());

    /** Serialised fields in order. */
    public static final class Format implements RecordFormat<Search> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(Search event, DataOutputView out) throws IOException {
            out.writeLong(event.timestamp);
            out.writeLong(event.product);
            out.writeLong(event.category);
            out.writeLong(event.rank);
            out.writeLong(event.ingestionTime);
        }

        @Override
        public Search read(int version, DataInputView in) throws IOException {
            return new Search(
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong());
        }
    }
}
