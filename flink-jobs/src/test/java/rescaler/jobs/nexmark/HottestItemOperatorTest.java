package rescaler.jobs.nexmark;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.Test;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.operators.Windows;

/** Goal: every sliding window with a bid has one row for each item that no other beats. */
class HottestItemOperatorTest {
    private static final long SIZE = 40;
    private static final long SLIDE = 10;

    @Test
    void aTieGivesEveryItem() throws Exception {
        try (var harness = start(null)) {
            for (long item : new long[] {9, 5, 9, 5, 7}) {
                harness.processElement(bid(item), 5);
            }
            harness.processWatermark(9);
            assertEquals(List.of("10 item 5 bids 2", "10 item 9 bids 2"), rows(harness));
        }
    }

    @Test
    void aBidCountsInEveryWindowItIsIn() throws Exception {
        try (var harness = start(null)) {
            harness.processElement(bid(5), 25);
            harness.processWatermark(1000);
            List<String> expected = new ArrayList<>();
            for (long end = 30; end <= 60; end += SLIDE) {
                expected.add(end + " item 5 bids 1");
            }
            assertEquals(expected, rows(harness));
        }
    }

    @Test
    void windowsAgreeWithCountingEachOnItsOwnAcrossARestart() throws Exception {
        Random random = new Random(3);
        List<long[]> bids = new ArrayList<>();
        for (int index = 0; index < 400; index++) {
            long gap = index > 200 && index < 230 ? 20 : 2; // some windows are nearly empty
            bids.add(new long[] {(index == 0 ? 0 : bids.get(index - 1)[0]) + random.nextInt((int) gap), random.nextInt(6)});
        }
        List<String> found = new ArrayList<>();
        OperatorSubtaskState state = null;
        for (int part = 0; part < 4; part++) {
            try (var harness = start(state)) {
                for (long[] bid : bids.subList(100 * part, 100 * (part + 1))) {
                    harness.processElement(bid(bid[1]), bid[0]);
                    harness.processWatermark(bid[0] - 1);
                }
                if (part == 3) {
                    harness.processWatermark(Long.MAX_VALUE);
                }
                state = harness.snapshot(part, part);
                found.addAll(rows(harness));
            }
        }
        assertEquals(expected(bids), found);
    }

    private static List<String> expected(List<long[]> bids) {
        List<String> rows = new ArrayList<>();
        long last = bids.get(bids.size() - 1)[0];
        for (long end = SLIDE; end <= last + SIZE; end += SLIDE) {
            Map<Long, Long> counts = new TreeMap<>();
            for (long[] bid : bids) {
                if (bid[0] >= end - SIZE && bid[0] < end) {
                    counts.merge(bid[1], 1L, Long::sum);
                }
            }
            long most = counts.values().stream().mapToLong(count -> count).max().orElse(0);
            for (Map.Entry<Long, Long> count : counts.entrySet()) {
                if (count.getValue() == most) {
                    rows.add(end + " item " + count.getKey() + " bids " + most);
                }
            }
        }
        return rows;
    }

    private static OneInputStreamOperatorTestHarness<ItemBid, byte[]> start(OperatorSubtaskState state)
            throws Exception {
        var harness = new OneInputStreamOperatorTestHarness<>(
                new HottestItemOperator(OperatorSettings.PLAIN, new Windows(SIZE, SLIDE)));
        harness.setup();
        if (state != null) {
            harness.initializeState(state);
        }
        harness.open();
        return harness;
    }

    private static ItemBid bid(long itemId) {
        return new ItemBid(itemId, 0, 0, 0);
    }

    private static List<String> rows(OneInputStreamOperatorTestHarness<ItemBid, byte[]> harness) {
        return harness.extractOutputValues().stream()
                .map(row -> new String(row, StandardCharsets.UTF_8))
                .map(row -> row.replaceAll(
                        "\\{\"query\":\"q5\",\"window_end\":(\\d+),\"item_id\":(\\d+),\"bids\":(\\d+)}",
                        "$1 item $2 bids $3"))
                .toList();
    }
}
