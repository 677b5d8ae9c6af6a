package rescaler.jobs.nexmark;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Supplier;
import org.apache.flink.runtime.state.StateBackend;
import org.apache.flink.runtime.state.hashmap.HashMapStateBackend;
import org.apache.flink.state.rocksdb.EmbeddedRocksDBStateBackend;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.events.Auction;
import rescaler.jobs.events.Bid;
import rescaler.jobs.testing.TestingSubtasks;

/** Goal: every bid that counts is emitted exactly once with its item, in any reading order of the inputs. */
class BidItemOperatorTest {
    private static final long HORIZON_MS = 100;

    @Test
    void aBidGetsTheItemOfItsAuction() throws Exception {
        try (var subtasks = start(1)) {
            subtasks.left(auction(1, 10, 1000, 2000), 1000);
            subtasks.right(bid(7, 1, 1500), 1500);
            assertEquals(List.of("1500 item 10 bid 7"), output(subtasks));
        }
    }

    @Test
    void anEarlyBidWaitsAndCountsAtTheAuctionsTime() throws Exception {
        try (var subtasks = start(1)) {
            subtasks.right(bid(7, 1, 950), 950);
            subtasks.right(bid(8, 1, 1010), 1010);
            assertEquals(List.of(), output(subtasks));
            subtasks.left(auction(1, 10, 1000, 2000), 1000);
            assertEquals(List.of("1000 item 10 bid 7", "1010 item 10 bid 8"), output(subtasks));
        }
    }

    @Test
    void aBidAtTheEndCountsNowhere() throws Exception {
        try (var subtasks = start(1)) {
            subtasks.left(auction(1, 10, 1000, 2000), 1000);
            subtasks.right(bid(7, 1, 1999), 1999);
            subtasks.right(bid(8, 1, 2000), 2000);
            assertEquals(List.of("1999 item 10 bid 7"), output(subtasks));
        }
    }

    @Test
    void aWaitingBidExpiresAtItsHorizon() throws Exception {
        try (var subtasks = start(1)) {
            subtasks.right(bid(7, 1, 900), 900);
            subtasks.right(bid(8, 1, 901), 901);
            subtasks.watermark(1000); // 900 + horizon: an auction of that time would have been here
            subtasks.left(auction(1, 10, 1001, 2000), 1001);
            assertEquals(List.of("1001 item 10 bid 8"), output(subtasks));
        }
    }

    @Test
    void aBidOlderThanTheHorizonDoesNotCountEvenIfTheAuctionIsReadFirst() throws Exception {
        try (var subtasks = start(1)) {
            subtasks.left(auction(1, 10, 1001, 2000), 1001);
            subtasks.right(bid(7, 1, 900), 900);
            subtasks.right(bid(8, 1, 901), 901);
            assertEquals(List.of("1001 item 10 bid 8"), output(subtasks));
        }
    }

    @Test
    void allStateEnds() throws Exception {
        try (var subtasks = start(2)) {
            for (int id = 0; id < 50; id++) {
                subtasks.left(auction(id, id, 1000, 2000 + id), 1000);
                subtasks.right(bid(id, id, 1500), 1500);
                subtasks.right(bid(id, 1000 + id, 1500), 1500); // its auction never comes
            }
            subtasks.watermark(5000);
            assertEquals(0, subtasks.stateEntries());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 8})
    void theOrderOfInputsAndRescalingChangeNothing(int parallelism) throws Exception {
        for (int seed = 0; seed < 20; seed++) {
            check(new Random(seed), parallelism, HashMapStateBackend::new);
        }
        check(new Random(99), parallelism, EmbeddedRocksDBStateBackend::new);
    }

    /**
     * Two streams in their own order, interleaved at random, with watermarks between and one restore in the middle.
     */
    private static void check(Random random, int parallelism, Supplier<StateBackend> backend) throws Exception {
        List<Auction> auctions = new ArrayList<>();
        List<Bid> bids = new ArrayList<>();
        for (int id = 0; id < 60; id++) {
            long time = 1000 + id * 20L;
            auctions.add(auction(id, id + 500, time, time + 50 + random.nextInt(300)));
        }
        for (int id = 0; id < 400; id++) {
            bids.add(bid(id, Math.min(59, id * 3L / 20 + random.nextInt(8)), 1000 + id * 3L));
        }
        try (var subtasks = start(2, backend)) {
            int left = 0;
            int right = 0;
            while (left < auctions.size() || right < bids.size()) {
                boolean takeLeft = right == bids.size() || left < auctions.size() && random.nextInt(8) == 0;
                if (takeLeft) {
                    subtasks.left(auctions.get(left), auctions.get(left).timestamp());
                    left++;
                } else {
                    subtasks.right(bids.get(right), bids.get(right).timestamp());
                    right++;
                }
                long leftTime = left < auctions.size() ? auctions.get(left).timestamp() : Long.MAX_VALUE;
                long rightTime = right < bids.size() ? bids.get(right).timestamp() : Long.MAX_VALUE;
                subtasks.watermark(Math.min(leftTime, rightTime) - 1);
                if (left + right == 200) {
                    subtasks.restore(parallelism);
                }
            }
            List<String> found = new ArrayList<>(output(subtasks));
            Collections.sort(found);
            assertEquals(expected(auctions, bids), found);
        }
    }

    /** The definition, independent of order. */
    private static List<String> expected(List<Auction> auctions, List<Bid> bids) {
        Map<Long, Auction> byId = new HashMap<>();
        auctions.forEach(auction -> byId.put(auction.auctionId(), auction));
        List<String> rows = new ArrayList<>();
        for (Bid bid : bids) {
            Auction auction = byId.get(bid.auctionId());
            if (bid.timestamp() < auction.end() && auction.timestamp() <= bid.timestamp() + HORIZON_MS) {
                long time = Math.max(bid.timestamp(), auction.timestamp());
                rows.add(time + " item " + auction.itemId() + " bid " + bid.bidId());
            }
        }
        Collections.sort(rows);
        return rows;
    }

    private static TestingSubtasks<Auction, Bid, ItemBid> start(int parallelism) throws Exception {
        return start(parallelism, HashMapStateBackend::new);
    }

    private static TestingSubtasks<Auction, Bid, ItemBid> start(int parallelism, Supplier<StateBackend> backend)
            throws Exception {
        return TestingSubtasks.twoInputs(
                        () -> new BidItemOperator(OperatorSettings.PLAIN, HORIZON_MS), Auction::auctionId, Bid::auctionId)
                .on(backend)
                .restore(parallelism);
    }

    private static List<String> output(TestingSubtasks<Auction, Bid, ItemBid> subtasks) {
        return subtasks.output(joined -> "item " + joined.itemId() + " bid " + joined.bidId());
    }

    private static Auction auction(long id, long itemId, long start, long end) {
        return new Auction(start, id, itemId, 0, 100, 0, start, end, 0);
    }

    private static Bid bid(long id, long auctionId, long timestamp) {
        return new Bid(timestamp, id, auctionId, 0, 100 + id, 0);
    }
}
