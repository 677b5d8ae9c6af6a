package rescaler.jobs.metrics;

import java.util.function.LongSupplier;
import org.apache.flink.metrics.Histogram;
import org.apache.flink.metrics.HistogramStatistics;

/**
 * A histogram of recent values: statistics over the last one to two windows, count since the start.
 *
 * <p>Two HdrHistograms alternate. The task's thread writes and the metric reporters read, under the histogram's
 * lock: it is almost never contended, and the writer takes it only for measured values (see {@link OperatorProbe}).
 * A decaying reservoir would be the usual choice, but it decays by number of records, so that after a rescale it
 * would show the time before for minutes.
 *
 * <p>The count is supplied from outside, because it includes every record while values may be sampled.
 */
public final class WindowedHistogram implements Histogram {
    /** Two decimal digits: quantiles are within 1 %. */
    private static final int SIGNIFICANT_DIGITS = 2;

    private final LongSupplier count;
    private final double unit;
    private final long windowNanos;
    private WindowContent current = new WindowContent();
    private WindowContent previous = new WindowContent();
    private long currentStartNanos = System.nanoTime();
    private long valueCount;
    private double valueSum;

    /**
     * @param count number of values since the start, sampled or not
     * @param unit divisor of recorded values: 1000 to convert nanoseconds to microseconds
     * @param windowMs length of a window, ms
     */
    public WindowedHistogram(LongSupplier count, double unit, long windowMs) {
        this.count = count;
        this.unit = unit;
        this.windowNanos = windowMs * 1_000_000;
    }

    @Override
    public void update(long value) {
        update(value, 1, System.nanoTime());
    }

    /**
     * Records a value with a weight.
     *
     * @param value negative ones count as 0
     * @param weight number of values that this one represents, at least 1
     * @param nowNanos the current {@link System#nanoTime}
     */
    public synchronized void update(long value, long weight, long nowNanos) {
        rotate(nowNanos);
        current.add(Math.max(0, value), weight);
        valueCount += weight;
        valueSum += (double) Math.max(0, value) * weight;
    }

    /** Returns the number of values recorded since the start. */
    synchronized long valueCount() {
        return valueCount;
    }

    /** Returns the sum of all values recorded since the start, in the unit of the statistics. */
    synchronized long valueSum() {
        return Math.round(valueSum / unit);
    }

    @Override
    public long getCount() {
        return count.getAsLong();
    }

    @Override
    public HistogramStatistics getStatistics() {
        return statistics(System.nanoTime());
    }

    synchronized HistogramStatistics statistics(long nowNanos) {
        rotate(nowNanos);
        WindowContent both = new WindowContent();
        both.add(previous);
        both.add(current);
        return new WindowStatistics(both.values, both.mean(), unit);
    }

    private void rotate(long nowNanos) {
        long age = nowNanos - currentStartNanos;
        if (age < windowNanos) {
            return;
        }
        WindowContent oldest = previous;
        previous = current;
        current = oldest;
        current.clear();
        if (age >= 2 * windowNanos) {
            previous.clear();
        }
        currentStartNanos = nowNanos - age % windowNanos;
    }

    /** One window's values, with their exact sum, which the buckets would round. */
    private static final class WindowContent {
        private final org.HdrHistogram.Histogram values = new org.HdrHistogram.Histogram(SIGNIFICANT_DIGITS);
        private double sum;

        void add(long value, long weight) {
            values.recordValueWithCount(value, weight);
            sum += (double) value * weight;
        }

        void add(WindowContent other) {
            values.add(other.values);
            sum += other.sum;
        }

        double mean() {
            return values.getTotalCount() == 0 ? 0 : sum / values.getTotalCount();
        }

        void clear() {
            values.reset();
            sum = 0;
        }
    }
}
