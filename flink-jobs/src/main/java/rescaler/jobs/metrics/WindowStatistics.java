package rescaler.jobs.metrics;

import org.HdrHistogram.Histogram;
import org.apache.flink.metrics.HistogramStatistics;

/** Flink's view of one or two windows of values. Nothing recorded reads as zeros, as everywhere in Flink. */
final class WindowStatistics extends HistogramStatistics {
    private final Histogram values;
    private final double mean;
    private final double unit;

    WindowStatistics(Histogram values, double mean, double unit) {
        this.values = values;
        this.mean = mean;
        this.unit = unit;
    }

    @Override
    public double getQuantile(double quantile) {
        return values.getValueAtPercentile(quantile * 100) / unit;
    }

    /** Not kept one by one; Flink's reporters never ask for them. */
    @Override
    public long[] getValues() {
        return new long[0];
    }

    /** How many values the statistics rest on, which is fewer than the histogram's count. */
    @Override
    public int size() {
        return (int) Math.min(Integer.MAX_VALUE, values.getTotalCount());
    }

    @Override
    public double getMean() {
        return mean / unit;
    }

    @Override
    public double getStdDev() {
        return values.getTotalCount() == 0 ? 0 : values.getStdDeviation() / unit;
    }

    @Override
    public long getMax() {
        return Math.round(values.getMaxValue() / unit);
    }

    @Override
    public long getMin() {
        return values.getTotalCount() == 0 ? 0 : Math.round(values.getMinValue() / unit);
    }
}
