package rescaler.jobs.nexmark;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.events.Auction;
import rescaler.jobs.events.Bid;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/**
 * State of an auction in an operator keyed by auction, until its end.
 *
 * @param timestamp the auction's event time, ms since the epoch
 * @param subject the query's grouping key: the item, its category or the seller
 * @param start bids count from this moment on, ms since the epoch
 * @param end bids at or after this moment do not count, ms since the epoch
 * @param price highest price so far, or the initial price without any bid, cents
 * @param hasBid whether there is a bid
 * @param newestIngestionTime newest ingestion time of the auction and the highest bid, ms since the epoch
 */
record OpenAuction(
        long timestamp,
        long subject,
        long start,
        long end,
        long price,
        boolean hasBid,
        long newestIngestionTime) {
    static final RecordType<OpenAuction> TYPE = RecordType.of(OpenAuction.class, new Format());

    /** Creates an auction without bids. */
    static OpenAuction of(Auction auction, long subject) {
        return new OpenAuction(
                auction.timestamp(),
                subject,
                auction.start(),
                auction.end(),
                auction.initialPrice(),
                false,
                auction.ingestionTime());
    }

    /** Returns the auction with a new highest bid. */
    OpenAuction withBid(Bid bid) {
        return new OpenAuction(
                timestamp,
                subject,
                start,
                end,
                bid.price(),
                true,
                Math.max(newestIngestionTime, bid.ingestionTime()));
    }

    /** Serialised fields in order. */
    public static final class Format implements RecordFormat<OpenAuction> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(OpenAuction auction, DataOutputView out) throws IOException {
            out.writeLong(auction.timestamp);
            out.writeLong(auction.subject);
            out.writeLong(auction.start);
            out.writeLong(auction.end);
            out.writeLong(auction.price);
            out.writeBoolean(auction.hasBid);
            out.writeLong(auction.newestIngestionTime);
        }

        @Override
        public OpenAuction read(int version, DataInputView in) throws IOException {
            return new OpenAuction(
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readBoolean(),
                    in.readLong());
        }
    }
}
