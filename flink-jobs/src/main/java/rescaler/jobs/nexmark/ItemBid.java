package rescaler.jobs.nexmark;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/**
 * A bid with the item it is for.
 *
 * @param price cents
 * @param newestIngestionTime newest ingestion time of the bid and its auction, ms since the epoch
 */
record ItemBid(long itemId, long bidId, long price, long newestIngestionTime) {
    static final RecordType<ItemBid> TYPE = RecordType.of(ItemBid.class, new Format());

    /** Returns whether this bid beats the other: higher, or equal with the lower id. */
    boolean beats(ItemBid other) {
        return price > other.price || price == other.price && bidId < other.bidId;
    }

    /** Serialised fields in order. */
    public static final class Format implements RecordFormat<ItemBid> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(ItemBid bid, DataOutputView out) throws IOException {
            out.writeLong(bid.itemId);
            out.writeLong(bid.bidId);
            out.writeLong(bid.price);
            out.writeLong(bid.newestIngestionTime);
        }

        @Override
        public ItemBid read(int version, DataInputView in) throws IOException {
            return new ItemBid(in.readLong(), in.readLong(), in.readLong(), in.readLong());
        }
    }
}
