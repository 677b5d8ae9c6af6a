package rescaler.jobs.metrics;

import org.HdrHistogram.Histogram;
import org.apache.flink.metrics.HistogramStatistics;

/** Statistics over one or two windows of values. Without values they are zeros, as everywhere in Flink. */
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

    /** Single values are not kept; Flink's reporters never request them. */
    @Override
    public long[] getValues() {
        return new long[0];
    }

    /** Returns the number of values in the statistics, which is lower than the histogram's count. */
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
