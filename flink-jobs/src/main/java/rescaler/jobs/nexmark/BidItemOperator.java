package rescaler.jobs.nexmark;

import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.events.Auction;
import rescaler.jobs.events.Bid;

/** {@code q7-bid-item} and {@code q5-bid-item}: every bid that counts, with the item of its auction. */
final class BidItemOperator extends AuctionBidOperator<Auction, ItemBid> {
    private static final long serialVersionUID = 1L;

    BidItemOperator(OperatorSettings settings, long waitingBidHorizonMs) {
        super(settings, waitingBidHorizonMs);
    }

    @Override
    protected OpenAuction remember(Auction auction) {
        return OpenAuction.of(auction, auction.itemId());
    }

    @Override
    protected long ingestionTime(Auction auction) {
        return auction.ingestionTime();
    }

    @Override
    protected OpenAuction bid(OpenAuction auction, Bid bid) {
        long newestIngestionTime = Math.max(bid.ingestionTime(), auction.newestIngestionTime());
        ItemBid joined = new ItemBid(auction.subject(), bid.bidId(), bid.price(), newestIngestionTime);
        output.collect(new StreamRecord<>(joined, Math.max(bid.timestamp(), auction.timestamp())));
        return auction;
    }

    @Override
    protected void ended(long auctionId, OpenAuction auction) {
        // Every bid was emitted when it arrived.
    }
}
