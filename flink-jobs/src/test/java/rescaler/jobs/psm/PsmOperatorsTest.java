package rescaler.jobs.psm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.apache.flink.state.rocksdb.EmbeddedRocksDBStateBackend;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import rescaler.jobs.config.MetricSettings;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.config.WorkSettings;
import rescaler.jobs.events.Click;
import rescaler.jobs.events.Impression;
import rescaler.jobs.operators.Windows;
import rescaler.jobs.testing.Rows;
import rescaler.jobs.testing.TestingSubtasks;

/** Goal: the price-comparison queries match their definitions, also across rescales. */
class PsmOperatorsTest {
    private static final Windows SLIDING = new Windows(50, 10);

    /** So few cached keys that most values go through the state. */
    private static final OperatorSettings TIGHT =
            new OperatorSettings(new MetricSettings(true, 1000), WorkSettings.NONE, 2);

    @Test
    void theBestCategoryOfAnOwnerWithItsTies() throws Exception {
        try (TestingSubtasks<Click, Void, byte[]> subtasks = TestingSubtasks.oneInput(
                () -> new OwnerClicksOperator.BestCategory(OperatorSettings.PLAIN, 100), Click::owner)) {
            for (long category : new long[] {4, 3, 4, 3, 5}) {
                subtasks.left(new Click(10, 1, category, 7, 20, 0), 10);
            }
            subtasks.left(new Click(99, 1, 9, 8, 20, 0), 99);
            subtasks.left(new Click(100, 1, 5, 7, 20, 0), 100);
            subtasks.restore(2);
            subtasks.watermark(99);
            List<String> rows = new ArrayList<>(Rows.of(subtasks));
            Collections.sort(rows);
            assertEquals(List.of("99: q1 100 7 3 2", "99: q1 100 7 4 2", "99: q1 100 8 9 1"), rows);
            subtasks.watermark(199);
            assertEquals(4, Rows.of(subtasks).size());
            assertEquals(0, subtasks.stateEntries());
        }
    }

    @Test
    void aClickOfAFiredWindowIsDropped() throws Exception {
        try (TestingSubtasks<Click, Void, byte[]> subtasks = ownerMedians()) {
            subtasks.left(click(1, 7, 20, 50), 50);
            subtasks.watermark(99);
            subtasks.left(click(1, 7, 70, 60), 60);
            subtasks.watermark(500);
            assertEquals(List.of("99: q3 100 7 1 20.0"), Rows.of(subtasks));
            assertEquals(0, subtasks.stateEntries());
        }
    }

    @Test
    void theMedianOfAnEvenNumberIsTheMeanOfTheMiddleTwo() throws Exception {
        try (TestingSubtasks<Click, Void, byte[]> subtasks = ownerMedians()) {
            for (long price : new long[] {70, 20, 31, 30}) {
                subtasks.left(click(1, 7, price, 10), 10);
            }
            subtasks.watermark(99);
            assertEquals(List.of("99: q3 100 7 4 30.5"), Rows.of(subtasks));
        }
    }

    @Test
    void theMedianOfAProductsLastClicks() throws Exception {
        int size = 20;
        int slide = 5;
        Random random = new Random(5);
        List<Long> prices = new ArrayList<>();
        List<String> expected = new ArrayList<>();
        try (var subtasks = TestingSubtasks.oneInput(
                () -> new ProductMedianOperator(TIGHT, size, slide, 1000), Click::product)) {
            for (int index = 0; index < 103; index++) {
                long price = 20 + random.nextInt(50);
                prices.add(price);
                for (long product = 1; product <= 3; product++) {
                    subtasks.left(click(product, 7, price, index), index);
                }
                if (index == 42) {
                    subtasks.restore(4);
                }
                if (prices.size() % slide == 0) {
                    List<Long> last = new ArrayList<>(prices.subList(Math.max(0, prices.size() - size), prices.size()));
                    Collections.sort(last);
                    double median = (last.get((last.size() - 1) / 2) + last.get(last.size() / 2)) / 2.0;
                    expected.add(index + ": q2 2 " + last.size() + " " + median);
                }
            }
            assertEquals(expected, Rows.of(subtasks).stream().filter(row -> row.contains(" q2 2 ")).toList());
            subtasks.watermark(102 + 1000);
            assertEquals(0, subtasks.stateEntries());
        }
    }

    /** Whether the timer that expires the product comes before the click or, with a late watermark, after it. */
    @Test
    void aProductBeginsAnewAfterASilenceWhetherItsTimerHasComeOrNot() throws Exception {
        for (boolean timerFirst : new boolean[] {false, true}) {
            try (var subtasks =
                    TestingSubtasks.oneInput(() -> new ProductMedianOperator(TIGHT, 4, 2, 1000), Click::product)) {
                for (long time = 1; time <= 3; time++) {
                    subtasks.left(click(1, 7, 20, time), time);
                }
                if (timerFirst) {
                    subtasks.watermark(1003);
                }
                subtasks.left(click(1, 7, 30, 1003), 1003);
                subtasks.left(click(1, 7, 40, 1004), 1004);
                assertEquals(List.of("2: q2 1 2 20.0", "1004: q2 1 2 35.0"), Rows.of(subtasks));
                subtasks.watermark(2004);
                assertEquals(0, subtasks.stateEntries());
            }
        }
    }

    @Test
    void productsWithoutAClickHaveNoRatio() throws Exception {
        try (var subtasks = perClick(OperatorSettings.PLAIN)) {
            subtasks.left(new Impression(5, 1, 0, 0), 5);
            subtasks.left(new Impression(5, 2, 0, 0), 5);
            subtasks.right(click(2, 7, 20, 25), 25);
            subtasks.watermark(19);
            assertEquals(List.of(), Rows.of(subtasks));
            subtasks.watermark(59);
            assertEquals(
                    List.of("29: q4 30 2 1 1 1.0", "39: q4 40 2 1 1 1.0", "49: q4 50 2 1 1 1.0", "59: q4 60 2 0 1 0.0"),
                    Rows.of(subtasks));
            subtasks.watermark(1000);
            assertEquals(5, Rows.of(subtasks).size());
            assertEquals(0, subtasks.stateEntries());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 8})
    void slidingWindowsAgreeWithCountingEachOnItsOwn(int parallelism) throws Exception {
        for (int seed = 0; seed < 10; seed++) {
            try (var subtasks = perClick(TIGHT)) {
                check(subtasks, new Random(seed), parallelism);
            }
        }
        try (var subtasks = perClick(TIGHT).on(EmbeddedRocksDBStateBackend::new).restore(2)) {
            check(subtasks, new Random(99), parallelism);
        }
    }

    private static void check(
            TestingSubtasks<Impression, Click, byte[]> subtasks, Random random, int parallelism) throws Exception {
        List<long[]> events = new ArrayList<>(); // time, product, whether a click
        long time = 0;
        for (int index = 0; index < 300; index++) {
            time += random.nextInt(index % 100 == 0 ? 200 : 3);
            events.add(new long[] {time, random.nextInt(5), random.nextInt(2)});
        }
        for (int index = 0; index < events.size(); index++) {
            // Within a few ms the order is arbitrary, as it is between partitions.
            int pick = Math.min(events.size() - 1, index + random.nextInt(4));
            Collections.swap(events, index, pick);
        }
        for (int index = 0; index < events.size(); index++) {
            long[] event = events.get(index);
            if (event[2] == 1) {
                subtasks.right(click(event[1], 0, 20, event[0]), event[0]);
            } else {
                subtasks.left(new Impression(event[0], event[1], 0, 0), event[0]);
            }
            long earliest = events.subList(index + 1, events.size()).stream()
                    .mapToLong(left -> left[0]).min().orElse(Long.MAX_VALUE);
            subtasks.watermark(earliest - 1);
            if (index == 120 || index == 240) {
                subtasks.restore(parallelism);
            }
        }
        List<String> found = new ArrayList<>(Rows.of(subtasks));
        Collections.sort(found);
        assertEquals(expected(events), found);
    }

    private static List<String> expected(List<long[]> events) {
        List<String> rows = new ArrayList<>();
        long last = events.stream().mapToLong(event -> event[0]).max().orElse(0);
        for (long end = SLIDING.slideMs(); end <= last + SLIDING.sizeMs(); end += SLIDING.slideMs()) {
            for (long product = 0; product < 5; product++) {
                long[] counts = new long[2];
                for (long[] event : events) {
                    if (event[1] == product && event[0] >= end - SLIDING.sizeMs() && event[0] < end) {
                        counts[(int) event[2]]++;
                    }
                }
                if (counts[1] > 0) {
                    rows.add(end - 1 + ": q4 " + end + " " + product + " " + counts[0] + " " + counts[1] + " "
                            + (double) counts[0] / counts[1]);
                }
            }
        }
        Collections.sort(rows);
        return rows;
    }

    private static TestingSubtasks<Impression, Click, byte[]> perClick(OperatorSettings settings) throws Exception {
        return TestingSubtasks.twoInputs(
                () -> new PerClickOperator<>(settings, SLIDING, "q4", "impressions"),
                Impression::product,
                Click::product);
    }

    private static TestingSubtasks<Click, Void, byte[]> ownerMedians() throws Exception {
        return TestingSubtasks.oneInput(
                () -> new OwnerClicksOperator.MedianPrice(OperatorSettings.PLAIN, 100), Click::owner);
    }

    private static Click click(long product, long owner, long price, long timestamp) {
        return new Click(timestamp, product, 0, owner, price, 0);
    }
}
