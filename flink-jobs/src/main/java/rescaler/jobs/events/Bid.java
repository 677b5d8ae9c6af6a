package rescaler.jobs.events;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/**
 * A bid in an auction.
 *
 * @param timestamp intended time of the event, ms since the epoch
 * @param bidId unique among bids
 * @param auctionId the auction, which may come later in the stream
 * @param bidderId the bidding person, who may come later in the stream
 * @param price price offered, cents
 * @param ingestionTime when the source decoded the event, ms since the epoch
 */
public record Bid(long timestamp, long bidId, long auctionId, long bidderId, long price, long ingestionTime)
        implements Event {
    /** Flink's type information of the event. */
    public static final RecordType<Bid> TYPE = RecordType.of(Bid.class, new Format());

    /** Serialised fields in order. */
    public static final class Format implements RecordFormat<Bid> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(Bid event, DataOutputView out) throws IOException {
            out.writeLong(event.timestamp);
            out.writeLong(event.bidId);
            out.writeLong(event.auctionId);
            out.writeLong(event.bidderId);
            out.writeLong(event.price);
            out.writeLong(event.ingestionTime);
        }

        @Override
        public Bid read(int version, DataInputView in) throws IOException {
            return new Bid(
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong());
        }
    }
}
