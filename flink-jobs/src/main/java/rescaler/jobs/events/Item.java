package rescaler.jobs.events;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.types.StringValue;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/**
 * An item to be auctioned; its event precedes its auction's.
 *
 * @param timestamp intended time of the event, ms since the epoch
 * @param itemId unique among items
 * @param categoryId category of the item
 * @param name short name
 * @param description description
 * @param ingestionTime when the source decoded the event, ms since the epoch
 */
public record Item(long timestamp, long itemId, long categoryId, String name, String description, long
        ingestionTime)
        implements Event {
    /** Flink's type information of the event. */
    public static final RecordType<Item> TYPE = RecordType.of(Item.class, new Format());

    /** Serialised fields in order. */
    public static final class Format implements RecordFormat<Item> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(Item event, DataOutputView out) throws IOException {
            out.writeLong(event.timestamp);
            out.writeLong(event.itemId);
            out.writeLong(event.categoryId);
            StringValue.writeString(event.name, out);
            StringValue.writeString(event.description, out);
            out.writeLong(event.ingestionTime);
        }

        @Override
        public Item read(int version, DataInputView in) throws IOException {
            return new Item(
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    StringValue.readString(in),
                    StringValue.readString(in),
                    in.readLong());
        }
    }
}
