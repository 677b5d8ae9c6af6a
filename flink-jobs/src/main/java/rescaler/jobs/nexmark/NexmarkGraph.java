package rescaler.jobs.nexmark;

import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import rescaler.jobs.config.Query;
import rescaler.jobs.config.QueryOption;
import rescaler.jobs.config.Stream;
import rescaler.jobs.events.Auction;
import rescaler.jobs.events.Bid;
import rescaler.jobs.graph.GraphBuilder;

/** The graph of the auction site's queries. */
public final class NexmarkGraph {
    private final GraphBuilder graph;

    public NexmarkGraph(GraphBuilder graph) {
        this.graph = graph;
    }

    /** Adds every query that is switched on. */
    public void build() {
        if (graph.isEnabled(Query.NEXMARK_Q7)) {
            highestBid();
        }
    }

    private void highestBid() {
        long windowSizeMs = graph.option(Query.NEXMARK_Q7, QueryOption.WINDOW_SIZE_MS);
        DataStream<ItemBid> bids = graph.keyed(
                "q7-bid-item",
                auctions().keyBy(Auction::auctionId).connect(bids().keyBy(Bid::auctionId)),
                ItemBid.TYPE,
                new BidItemOperator(graph.settings("q7-bid-item"), graph.waitingBidHorizonMs()));
        DataStream<byte[]> results = graph.allWindow(
                "q7-highest-bid",
                bids,
                PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO,
                new HighestBidOperator(graph.settings("q7-highest-bid"), windowSizeMs));
        graph.writeResults(Query.NEXMARK_Q7, results);
    }

    private DataStream<Auction> auctions() {
        return graph.events(Stream.AUCTION, Auction.TYPE);
    }

    private DataStream<Bid> bids() {
        return graph.events(Stream.BID, Bid.TYPE);
    }
}
