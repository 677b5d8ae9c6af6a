package rescaler.jobs.nexmark;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.Test;
import rescaler.jobs.config.MetricSettings;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.config.WorkSettings;

/** Goal: one row for each window with a bid, that of the highest bid, also across a restart. */
class HighestBidOperatorTest {
    private static final OperatorSettings MEASURED =
            new OperatorSettings(new MetricSettings(true, 1000), WorkSettings.NONE, 1_000);

    @Test
    void theHighestBidWins() throws Exception {
        try (var harness = start(null)) {
            harness.processElement(bid(1, 300), 0);
            harness.processElement(bid(2, 500), 5);
            harness.processElement(bid(3, 400), 9);
            harness.processWatermark(9);
            assertEquals(List.of(row(10, 2, 500)), rows(harness));
        }
    }

    @Test
    void ofEquallyHighBidsTheLowestIdWins() throws Exception {
        try (var harness = start(null)) {
            harness.processElement(bid(7, 500), 1);
            harness.processElement(bid(5, 500), 2);
            harness.processElement(bid(6, 500), 3);
            harness.processWatermark(9);
            assertEquals(List.of(row(10, 5, 500)), rows(harness));
        }
    }

    @Test
    void aWindowFiresWhenItsLastMomentIsOverAndEmptyOnesDoNot() throws Exception {
        try (var harness = start(null)) {
            harness.processElement(bid(1, 300), 9);
            harness.processElement(bid(2, 200), 35);
            harness.processElement(bid(3, 100), 10);
            harness.processWatermark(8);
            assertEquals(List.of(), rows(harness));
            harness.processWatermark(50);
            assertEquals(List.of(row(10, 1, 300), row(20, 3, 100), row(40, 2, 200)), rows(harness));
        }
    }

    @Test
    void theEndOfTheStreamFiresTheOpenWindow() throws Exception {
        try (var harness = start(null)) {
            harness.processElement(bid(1, 300), 9);
            harness.processWatermark(Long.MAX_VALUE);
            assertEquals(List.of(row(10, 1, 300)), rows(harness));
        }
    }

    @Test
    void aBidOfAFiredWindowIsDropped() throws Exception {
        try (var harness = start(null)) {
            harness.processElement(bid(1, 300), 9);
            harness.processWatermark(9);
            harness.processElement(bid(2, 900), 9);
            harness.processWatermark(29);
            assertEquals(List.of(row(10, 1, 300)), rows(harness));
        }
    }

    @Test
    void openWindowsSurviveARestartAndFiredOnesStayFired() throws Exception {
        OperatorSubtaskState state;
        try (var harness = start(null)) {
            harness.processElement(bid(1, 300), 9);
            harness.processElement(bid(2, 200), 15);
            harness.processWatermark(9);
            state = harness.snapshot(1, 1);
        }
        try (var harness = start(state)) {
            harness.processElement(bid(3, 900), 9); // late, though no watermark has come yet
            harness.processElement(bid(4, 100), 16);
            harness.processWatermark(19);
            assertEquals(List.of(row(20, 2, 200)), rows(harness));
        }
    }

    private static OneInputStreamOperatorTestHarness<ItemBid, byte[]> start(OperatorSubtaskState state)
            throws Exception {
        var harness = new OneInputStreamOperatorTestHarness<>(new HighestBidOperator(MEASURED, 10));
        harness.setup();
        if (state != null) {
            harness.initializeState(state);
        }
        harness.open();
        return harness;
    }

    private static ItemBid bid(long id, long price) {
        return new ItemBid(id + 1000, id, price, 0);
    }

    private static String row(long windowEnd, long bidId, long price) {
        return "{\"query\":\"q7\",\"window_end\":" + windowEnd + ",\"item_id\":" + (bidId + 1000) + ",\"bid_id\":" + bidId
                + ",\"price\":" + price + "}";
    }

    private static List<String> rows(OneInputStreamOperatorTestHarness<ItemBid, byte[]> harness) {
        return harness.extractOutputValues().stream().map(row -> new String(row, StandardCharsets.UTF_8)).toList();
    }
}
