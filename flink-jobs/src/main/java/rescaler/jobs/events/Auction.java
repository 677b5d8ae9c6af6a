package rescaler.jobs.events;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/**
 * An auction was opened.
 *
 * @param timestamp intended time of the event, ms since the epoch
 * @param auctionId unique among auctions
 * @param itemId the auctioned item
 * @param sellerId the selling person
 * @param initialPrice price without any bid, cents
 * @param reserve price below which the seller may refuse to sell, cents
 * @param start bids count from this moment on, ms since the epoch
 * @param end bids at or after this moment do not count, ms since the epoch
 * @param ingestionTime when the source decoded the event, ms since the epoch
 */
public record Auction(long timestamp, long auctionId, long itemId, long sellerId, long initialPrice, long reserve,
        long start, long end, long ingestionTime)
        implements Event {
    /** Flink's type information of the event. */
    public static final RecordType<Auction> TYPE = RecordType.of(Auction.class, new Format());

    /** Serialised fields in order. */
    public static final class Format implements RecordFormat<Auction> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(Auction event, DataOutputView out) throws IOException {
            out.writeLong(event.timestamp);
            out.writeLong(event.auctionId);
            out.writeLong(event.itemId);
            out.writeLong(event.sellerId);
            out.writeLong(event.initialPrice);
            out.writeLong(event.reserve);
            out.writeLong(event.start);
            out.writeLong(event.end);
            out.writeLong(event.ingestionTime);
        }

        @Override
        public Auction read(int version, DataInputView in) throws IOException {
            return new Auction(
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong());
        }
    }
}
