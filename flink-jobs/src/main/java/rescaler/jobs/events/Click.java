package rescaler.jobs.events;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/**
 * A click on a product's offer.
 *
 * @param timestamp intended time of the event, ms since the epoch
 * @param product the product of the catalogue
 * @param category the product's category
 * @param owner the shop that owns the offer and pays for the click
 * @param price cost of the click to the owner, cents
 * @param ingestionTime when the source decoded the event, ms since the epoch
 */
public record Click(long timestamp, long product, long category, long owner, long price, long ingestionTime)
        implements Event {
    /** Flink's type information of the event. */
    public static final RecordType<Click> TYPE = RecordType.of(Click.class, new Format());

    /** Serialised fields in order. */
    public static final class Format implements RecordFormat<Click> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(Click event, DataOutputView out) throws IOException {
            out.writeLong(event.timestamp);
            out.writeLong(event.product);
            out.writeLong(event.category);
            out.writeLong(event.owner);
            out.writeLong(event.price);
            out.writeLong(event.ingestionTime);
        }

        @Override
        public Click read(int version, DataInputView in) throws IOException {
            return new Click(
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong());
        }
    }
}
