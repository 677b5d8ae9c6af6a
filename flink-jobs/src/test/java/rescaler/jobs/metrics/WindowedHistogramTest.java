package rescaler.jobs.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.apache.flink.metrics.HistogramStatistics;
import org.junit.jupiter.api.Test;

/** Goal: statistics cover the last one to two windows, and only those. */
class WindowedHistogramTest {
    private static final long WINDOW_MS = 1000;
    private static final long WINDOW_NANOS = WINDOW_MS * 1_000_000;

    private final long start = System.nanoTime();
    private final WindowedHistogram histogram = new WindowedHistogram(() -> 77, 1000, WINDOW_MS);

    @Test
    void valuesAreShownInTheirUnit() {
        for (int value = 1; value <= 100; value++) {
            histogram.update(value * 1000, 1, start);
        }
        HistogramStatistics statistics = histogram.statistics(start);
        assertEquals(50.5, statistics.getMean(), 1e-9);
        assertEquals(99, statistics.getQuantile(0.99), 1);
        assertEquals(1, statistics.getMin());
        assertEquals(100, statistics.getMax(), 1);
        assertEquals(77, histogram.getCount());
    }

    @Test
    void aValueIsForgottenAfterTwoWindows() {
        histogram.update(5000, 1, start);
        assertEquals(1, histogram.statistics(start + 3 * WINDOW_NANOS / 2).size());
        assertEquals(0, histogram.statistics(start + 5 * WINDOW_NANOS / 2).size());
        assertEquals(0, histogram.statistics(start + 5 * WINDOW_NANOS / 2).getMean());
    }

    @Test
    void aLongSilenceForgetsBothWindowsAtOnce() {
        histogram.update(5000, 1, start);
        histogram.update(9000, 1, start + 10 * WINDOW_NANOS);
        HistogramStatistics statistics = histogram.statistics(start + 10 * WINDOW_NANOS);
        assertEquals(1, statistics.size());
        assertEquals(9, statistics.getMean());
    }

    @Test
    void aValueCanStandForSeveral() {
        histogram.update(1000, 9, start);
        histogram.update(11_000, 1, start);
        assertEquals(2, histogram.statistics(start).getMean());
        assertEquals(1, histogram.statistics(start).getQuantile(0.9), 0.1);
    }

    @Test
    void nothingRecordedReadsAsZeros() {
        HistogramStatistics statistics = histogram.statistics(start);
        assertEquals(0, statistics.getMean());
        assertEquals(0, statistics.getMin());
        assertEquals(0, statistics.getMax());
        assertEquals(0, statistics.getStdDev());
        assertEquals(0, statistics.getQuantile(0.5));
    }

    @Test
    void negativeAndHugeValuesDoNoHarm() {
        histogram.update(-5, 1, start);
        histogram.update(Long.MAX_VALUE / 4, 1, start);
        assertEquals(0, histogram.statistics(start).getMin());
        assertEquals(2, histogram.statistics(start).size());
    }
}
