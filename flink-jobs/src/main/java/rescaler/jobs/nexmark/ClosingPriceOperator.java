package rescaler.jobs.nexmark;

import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.events.Auction;
import rescaler.jobs.events.Bid;

/**
 * {@code q4-closing-price} and {@code q6-closing-price}: the closing price of each auction, at its end.
 *
 * <p>The price is that of the highest bid from the auction's start to before its end, or the initial price if there
 * was no such bid. Its timestamp is the last moment of the auction.
 *
 * @param <A> the information about an auction
 */
abstract class ClosingPriceOperator<A> extends AuctionBidOperator<A, ClosedAuction> {
    private static final long serialVersionUID = 1L;

    private ClosingPriceOperator(OperatorSettings settings, long waitingBidHorizonMs) {
        super(settings, waitingBidHorizonMs);
    }

    @Override
    protected OpenAuction bid(OpenAuction auction, Bid bid) {
        boolean counts = bid.timestamp() >= auction.start() && (!auction.hasBid() || bid.price() > auction.price());
        return counts ? auction.withBid(bid) : auction;
    }

    @Override
    protected void ended(long auctionId, OpenAuction auction) {
        ClosedAuction closed = new ClosedAuction(
                auctionId, auction.subject(), auction.price(), auction.end(), auction.newestIngestionTime());
        output.collect(new StreamRecord<>(closed, auction.end() - 1));
    }

    /** For Q4: by the category of the auction's item. */
    static final class OfCategory extends ClosingPriceOperator<CategorizedAuction> {
        private static final long serialVersionUID = 1L;

        OfCategory(OperatorSettings settings, long waitingBidHorizonMs) {
            super(settings, waitingBidHorizonMs);
        }

        @Override
        protected OpenAuction remember(CategorizedAuction auction) {
            return new OpenAuction(
                    auction.timestamp(),
                    auction.categoryId(),
                    auction.start(),
                    auction.end(),
                    auction.initialPrice(),
                    false,
                    auction.newestIngestionTime());
        }

        @Override
        protected long ingestionTime(CategorizedAuction auction) {
            return auction.newestIngestionTime();
        }
    }

    /** For Q6: by the auction's seller. */
    static final class OfSeller extends ClosingPriceOperator<Auction> {
        private static final long serialVersionUID = 1L;

        OfSeller(OperatorSettings settings, long waitingBidHorizonMs) {
            super(settings, waitingBidHorizonMs);
        }

        @Override
        protected OpenAuction remember(Auction auction) {
            return OpenAuction.of(auction, auction.sellerId());
        }

        @Override
        protected long ingestionTime(Auction auction) {
            return auction.ingestionTime();
        }
    }
}
