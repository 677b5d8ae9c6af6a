package rescaler.jobs.nexmark;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.events.Auction;
import rescaler.jobs.events.Bid;
import rescaler.jobs.events.Item;
import rescaler.jobs.testing.Rows;
import rescaler.jobs.testing.TestingSubtasks;

/** Goal: Q4 and Q6 use the highest bid from start to before the end, and average the right auctions. */
class ClosingPriceTest {
    private static final long HORIZON_MS = 100;
    private static final long TTL_MS = 10_000;

    @Test
    void theHighestBidBetweenStartAndEndIsTheClosingPrice() throws Exception {
        try (var subtasks = closingPrices()) {
            subtasks.left(auction(1, 7, 1000, 1200, 1300), 1000);
            subtasks.right(bid(1, 1199, 900), 1199); // before the start
            subtasks.right(bid(1, 1200, 300), 1200);
            subtasks.right(bid(1, 1299, 400), 1299);
            subtasks.right(bid(1, 1299, 350), 1299);
            subtasks.right(bid(1, 1300, 800), 1300); // at the end
            subtasks.watermark(1298);
            assertEquals(List.of(), closed(subtasks));
            subtasks.watermark(1299);
            assertEquals(List.of("1299 auction 1 of 7 for 400"), closed(subtasks));
        }
    }

    @Test
    void anAuctionWithoutBidsClosesAtItsInitialPrice() throws Exception {
        try (var subtasks = closingPrices()) {
            subtasks.left(auction(1, 7, 1000, 1000, 1300), 1000);
            subtasks.right(bid(1, 1100, 50), 1100); // below the initial price, but a bid
            subtasks.left(auction(2, 7, 1000, 1000, 1300), 1000);
            subtasks.watermark(1300);
            assertEquals(
                    List.of("1299 auction 1 of 7 for 50", "1299 auction 2 of 7 for 100"),
                    closed(subtasks).stream().sorted().toList());
        }
    }

    @Test
    void bidsThatCameBeforeTheirAuctionCountAcrossARescale() throws Exception {
        try (var subtasks = closingPrices()) {
            for (int id = 0; id < 40; id++) {
                subtasks.right(bid(id, 990, 500), 990); // before the start: waits, but counts nowhere
                subtasks.right(bid(id, 1010, 400 + id), 1010);
            }
            subtasks.restore(3);
            for (int id = 0; id < 40; id++) {
                subtasks.left(auction(id, 7, 1000, 1000, 1100), 1000);
            }
            subtasks.restore(2);
            subtasks.watermark(5000);
            List<String> closed = closed(subtasks);
            assertEquals(40, closed.size());
            for (int id = 0; id < 40; id++) {
                assertEquals(true, closed.contains("1099 auction " + id + " of 7 for " + (400 + id)));
            }
            assertEquals(0, subtasks.stateEntries());
        }
    }

    @Test
    void anAuctionGetsTheCategoryOfItsItemWhicheverComesFirst() throws Exception {
        try (TestingSubtasks<Item, Auction, CategorizedAuction> subtasks = TestingSubtasks.twoInputs(
                () -> new AuctionItemOperator(OperatorSettings.PLAIN, HORIZON_MS), Item::itemId, Auction::itemId)) {
            subtasks.left(new Item(1000, 11, 5, "", "", 0), 1000);
            subtasks.right(auction(1, 7, 1000, 1000, 1300), 1000); // its item is 1
            subtasks.right(auction(11, 7, 1001, 1001, 1300), 1001);
            subtasks.restore(4);
            subtasks.left(new Item(1002, 1, 6, "", "", 0), 1002);
            subtasks.left(new Item(1002, 12, 5, "", "", 0), 1002); // too old for its auction
            subtasks.watermark(1101);
            subtasks.right(auction(12, 7, 1103, 1103, 1300), 1103);
            assertEquals(
                    List.of("1001 auction 11 in 5", "1002 auction 1 in 6"),
                    subtasks.output(found -> "auction " + found.auctionId() + " in " + found.categoryId()));
            subtasks.watermark(1203);
            assertEquals(0, subtasks.stateEntries());
        }
    }

    @Test
    void categoriesAreAveragedExactly() throws Exception {
        try (var subtasks = TestingSubtasks.oneInput(
                () -> new CategoryAverageOperator(OperatorSettings.PLAIN, TTL_MS), ClosedAuction::subject)) {
            subtasks.left(new ClosedAuction(1, 5, 100, 2000, 0), 1999);
            subtasks.left(new ClosedAuction(2, 5, 101, 2000, 0), 1999);
            subtasks.left(new ClosedAuction(3, 6, 9, 2000, 0), 1999);
            subtasks.restore(3);
            subtasks.left(new ClosedAuction(4, 5, 99, 3000, 0), 2999);
            assertEquals(
                    List.of("1999: q4 5 1 100.0", "1999: q4 5 2 100.5", "1999: q4 6 1 9.0", "2999: q4 5 3 100.0"),
                    Rows.of(subtasks));
            subtasks.watermark(12_999);
            assertEquals(2, subtasks.stateEntries(), "category 5 and its timer");
            subtasks.watermark(13_000);
            assertEquals(0, subtasks.stateEntries());
        }
    }

    @Test
    void aSellersLastAuctionsAreAveragedInTheOrderOfTheirEnds() throws Exception {
        try (var subtasks = sellerAverages(3, 1)) {
            subtasks.left(new ClosedAuction(3, 7, 300, 1300, 0), 1299);
            subtasks.left(new ClosedAuction(1, 7, 100, 1100, 0), 1099);
            subtasks.left(new ClosedAuction(2, 7, 200, 1100, 0), 1099);
            subtasks.restore(2);
            subtasks.watermark(1099);
            subtasks.left(new ClosedAuction(4, 7, 1000, 1400, 0), 1399);
            subtasks.watermark(9000);
            assertEquals(
                    List.of("1099: q6 7 1 100.0", "1099: q6 7 2 150.0", "1299: q6 7 3 200.0", "1399: q6 7 3 500.0"),
                    Rows.of(subtasks));
            subtasks.watermark(11_400);
            assertEquals(0, subtasks.stateEntries());
        }
    }

    /** At the end of a bounded stream all timers are due at once; the one that expires a seller came first. */
    @Test
    void theEndOfTheStreamForgetsNoAuction() throws Exception {
        try (var subtasks = sellerAverages(3, 1)) {
            for (int seller = 0; seller < 20; seller++) {
                subtasks.left(new ClosedAuction(seller, seller, 100, 1100, 0), 1099);
            }
            subtasks.watermark(Long.MAX_VALUE);
            assertEquals(20, Rows.of(subtasks).size());
            assertEquals(0, subtasks.stateEntries());
        }
    }

    @Test
    void aSlideOfTwoAuctionsGivesEverySecondRow() throws Exception {
        try (var subtasks = sellerAverages(4, 2)) {
            for (int id = 1; id <= 5; id++) {
                subtasks.left(new ClosedAuction(id, 7, 100 * id, 1000 + id, 0), 999 + id);
            }
            subtasks.watermark(2000);
            assertEquals(List.of("1001: q6 7 2 150.0", "1003: q6 7 4 250.0"), Rows.of(subtasks));
        }
    }

    /**
     * Watermarks advance in steps: a record after a silence may be processed before the timer that expires the key.
     * Regression: whether a category continued or restarted used to depend on that.
     */
    @Test
    void aCategoryBeginsAnewAfterASilenceWhetherItsTimerHasComeOrNot() throws Exception {
        for (boolean timerFirst : new boolean[] {false, true}) {
            try (var subtasks = TestingSubtasks.oneInput(
                    () -> new CategoryAverageOperator(OperatorSettings.PLAIN, TTL_MS), ClosedAuction::subject)) {
                subtasks.left(new ClosedAuction(1, 5, 100, 2000, 0), 1999);
                long end = 2000 + TTL_MS;
                if (timerFirst) {
                    subtasks.watermark(end);
                }
                subtasks.left(new ClosedAuction(2, 5, 300, end, 0), end);
                subtasks.left(new ClosedAuction(3, 5, 400, end + TTL_MS - 1, 0), end + TTL_MS - 1);
                assertEquals(
                        List.of("1999: q4 5 1 100.0", "12000: q4 5 1 300.0", "21999: q4 5 2 350.0"), Rows.of(subtasks));
                subtasks.watermark(end + 2 * TTL_MS);
                assertEquals(0, subtasks.stateEntries());
            }
        }
    }

    /** The same for a seller; here an auction that is not due yet must survive. */
    @Test
    void aSellerBeginsAnewAfterASilenceWhetherTheTimerHasComeOrNot() throws Exception {
        for (boolean timerFirst : new boolean[] {false, true}) {
            try (var subtasks = sellerAverages(3, 1)) {
                subtasks.left(new ClosedAuction(1, 7, 100, 1100, 0), 1099);
                subtasks.left(new ClosedAuction(2, 7, 200, 1200, 0), 1199);
                long end = 1200 + TTL_MS;
                if (timerFirst) {
                    subtasks.watermark(end);
                }
                subtasks.left(new ClosedAuction(3, 7, 400, end, 0), end);
                subtasks.restore(2);
                subtasks.watermark(end);
                assertEquals(
                        List.of("1099: q6 7 1 100.0", "1199: q6 7 2 150.0", "11199: q6 7 1 400.0"), Rows.of(subtasks));
                subtasks.watermark(end + TTL_MS);
                assertEquals(0, subtasks.stateEntries());
            }
        }
    }

    private static TestingSubtasks<ClosedAuction, Void, byte[]> sellerAverages(long size, long slide) throws Exception {
        return TestingSubtasks.oneInput(
                () -> new SellerAverageOperator(OperatorSettings.PLAIN, size, slide, TTL_MS), ClosedAuction::subject);
    }

    private static TestingSubtasks<Auction, Bid, ClosedAuction> closingPrices() throws Exception {
        return TestingSubtasks.twoInputs(
                () -> new ClosingPriceOperator.OfSeller(OperatorSettings.PLAIN, HORIZON_MS),
                Auction::auctionId,
                Bid::auctionId);
    }

    private static List<String> closed(TestingSubtasks<Auction, Bid, ClosedAuction> subtasks) {
        return subtasks.output(
                closed -> "auction " + closed.auctionId() + " of " + closed.subject() + " for " + closed.price());
    }

    private static Auction auction(long id, long sellerId, long timestamp, long start, long end) {
        return new Auction(timestamp, id, id, sellerId, 100, 0, start, end, 0);
    }

    private static Bid bid(long auctionId, long timestamp, long price) {
        return new Bid(timestamp, timestamp, auctionId, 0, price, 0);
    }
}
