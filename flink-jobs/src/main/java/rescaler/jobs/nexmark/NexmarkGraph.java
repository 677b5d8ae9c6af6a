package rescaler.jobs.nexmark;

import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import rescaler.jobs.config.Query;
import rescaler.jobs.config.QueryOption;
import rescaler.jobs.config.Stream;
import rescaler.jobs.events.Auction;
import rescaler.jobs.events.Bid;
import rescaler.jobs.events.Item;
import rescaler.jobs.events.Person;
import rescaler.jobs.graph.GraphBuilder;
import rescaler.jobs.operators.Windows;

/** The graph of the auction site's queries. */
public final class NexmarkGraph {
    private final GraphBuilder graph;

    public NexmarkGraph(GraphBuilder graph) {
        this.graph = graph;
    }

    /** Adds every enabled query. */
    public void build() {
        graph.ifEnabled(Query.NEXMARK_Q4, this::categoryAverage);
        graph.ifEnabled(Query.NEXMARK_Q5, this::hottestItem);
        graph.ifEnabled(Query.NEXMARK_Q6, this::sellerAverage);
        graph.ifEnabled(Query.NEXMARK_Q7, this::highestBid);
        graph.ifEnabled(Query.NEXMARK_Q8, this::newSellers);
    }

    private void categoryAverage() {
        DataStream<CategorizedAuction> categorized = graph.keyed(
                "q4-auction-item",
                graph.events(Stream.ITEM, Item.TYPE).keyBy(Item::itemId).connect(auctions().keyBy(Auction::itemId)),
                CategorizedAuction.TYPE,
                new AuctionItemOperator(graph.settings("q4-auction-item"), graph.waitingBidHorizonMs()));
        DataStream<ClosedAuction> closed = graph.keyed(
                "q4-closing-price",
                categorized.keyBy(CategorizedAuction::auctionId).connect(bidsByAuction()),
                ClosedAuction.TYPE,
                new ClosingPriceOperator.OfCategory(graph.settings("q4-closing-price"), graph.waitingBidHorizonMs()));
        DataStream<byte[]> results = graph.keyed(
                "q4-category-average",
                closed.keyBy(ClosedAuction::subject),
                GraphBuilder.ROW,
                new CategoryAverageOperator(
                        graph.settings("q4-category-average"),
                        graph.option(Query.NEXMARK_Q4, QueryOption.STATE_TTL_MS)));
        graph.writeResults(Query.NEXMARK_Q4, results);
    }

    private void hottestItem() {
        Windows windows = new Windows(
                graph.option(Query.NEXMARK_Q5, QueryOption.WINDOW_SIZE_MS),
                graph.option(Query.NEXMARK_Q5, QueryOption.WINDOW_SLIDE_MS));
        DataStream<byte[]> results = graph.allWindow(
                "q5-hottest-item",
                bidsWithItem("q5-bid-item"),
                GraphBuilder.ROW,
                new HottestItemOperator(graph.settings("q5-hottest-item"), windows));
        graph.writeResults(Query.NEXMARK_Q5, results);
    }

    private void sellerAverage() {
        DataStream<ClosedAuction> closed = graph.keyed(
                "q6-closing-price",
                auctionsById().connect(bidsByAuction()),
                ClosedAuction.TYPE,
                new ClosingPriceOperator.OfSeller(graph.settings("q6-closing-price"), graph.waitingBidHorizonMs()));
        DataStream<byte[]> results = graph.keyed(
                "q6-seller-average",
                closed.keyBy(ClosedAuction::subject),
                GraphBuilder.ROW,
                new SellerAverageOperator(
                        graph.settings("q6-seller-average"),
                        graph.option(Query.NEXMARK_Q6, QueryOption.WINDOW_SIZE_RECORDS),
                        graph.option(Query.NEXMARK_Q6, QueryOption.WINDOW_SLIDE_RECORDS),
                        graph.option(Query.NEXMARK_Q6, QueryOption.STATE_TTL_MS)));
        graph.writeResults(Query.NEXMARK_Q6, results);
    }

    private void highestBid() {
        DataStream<byte[]> results = graph.allWindow(
                "q7-highest-bid",
                bidsWithItem("q7-bid-item"),
                GraphBuilder.ROW,
                new HighestBidOperator(
                        graph.settings("q7-highest-bid"),
                        graph.option(Query.NEXMARK_Q7, QueryOption.WINDOW_SIZE_MS)));
        graph.writeResults(Query.NEXMARK_Q7, results);
    }

    private void newSellers() {
        DataStream<byte[]> results = graph.keyed(
                "q8-new-sellers",
                graph.events(Stream.PERSON, Person.TYPE)
                        .keyBy(Person::personId)
                        .connect(auctions().keyBy(Auction::sellerId)),
                GraphBuilder.ROW,
                new NewSellersOperator(
                        graph.settings("q8-new-sellers"),
                        graph.option(Query.NEXMARK_Q8, QueryOption.WINDOW_SIZE_MS)));
        graph.writeResults(Query.NEXMARK_Q8, results);
    }

    private DataStream<ItemBid> bidsWithItem(String uid) {
        return graph.keyed(
                uid,
                auctionsById().connect(bidsByAuction()),
                ItemBid.TYPE,
                new BidItemOperator(graph.settings(uid), graph.waitingBidHorizonMs()));
    }

    private DataStream<Auction> auctions() {
        return graph.events(Stream.AUCTION, Auction.TYPE);
    }

    private KeyedStream<Auction, Long> auctionsById() {
        return auctions().keyBy(Auction::auctionId);
    }

    private KeyedStream<Bid, Long> bidsByAuction() {
        return graph.events(Stream.BID, Bid.TYPE).keyBy(Bid::auctionId);
    }
}
