package rescaler.jobs.events;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/**
 * A product was shown.
 *
 * @param timestamp intended time of the event, ms since the epoch
 * @param product the product of the catalogue
 * @param category the product's category
 * @param ingestionTime when the source decoded the event, ms since the epoch
 */
public record Impression(long timestamp, long product, long category, long ingestionTime)
        implements Event {
    /** Flink's type information of the event. */
    public static final RecordType<Impression> TYPE = RecordType.of(Impression.class, new Format());

    /** Serialised fields in order. */
    public static final class Format implements RecordFormat<Impression> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(Impression event, DataOutputView out) throws IOException {
            out.writeLong(event.timestamp);
            out.writeLong(event.product);
            out.writeLong(event.category);
            out.writeLong(event.ingestionTime);
        }

        @Override
        public Impression read(int version, DataInputView in) throws IOException {
            return new Impression(
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong());
        }
    }
}
