package rescaler.jobs.metrics;

import java.util.concurrent.ThreadLocalRandom;
import java.util.function.LongSupplier;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.MeterView;
import org.apache.flink.metrics.MetricGroup;
import rescaler.jobs.config.OperatorSettings;

/**
 * The metrics of every query operator, in the operator's own group and under common names.
 *
 * <p>Counts are exact. Times are measured for one record in sixteen on average, at random distances, because two
 * clock readings per record would cost several per cent of a fast operator's throughput. A timed record is weighted
 * by the records since the previous one, so that records and window firings have their true shares in a mean. With
 * an artificial cost every record is timed: such an operator sleeps for many records at once, which sampling would
 * see or miss.
 *
 * <p>Names: {@code latency} (µs), {@code waitingTime} (ms), {@code throughput} (records/s over one histogram window)
 * and {@code throughputCount}, {@code windowSize} (records), {@code parallelism}, {@code overallLatency} and {@code
 * eventLatency} (ms). Operators with two inputs also have {@code latencyInput1}, {@code waitingTimeInput1} and so
 * on; there, {@code latency} is over both inputs. Every histogram {@code h} has the counters {@code hCount} and
 * {@code hSum}.
 */
public final class OperatorProbe {
    /** Result of {@link #begin} for a record that is not timed. */
    private static final long NOT_TIMED = 0;
    /** One record in this many is timed, on average. */
    private static final int SAMPLE_DISTANCE = 16;
    private static final double NANOS_PER_MICRO = 1000;

    private final boolean enabled;
    private final boolean timeEverything;
    private final MetricGroup group;
    private final long windowMs;
    private final InputProbe[] inputs;
    private final WindowedHistogram latency;
    private final WindowedHistogram waitingTime;
    private long firings;
    private long timedWeight = 1;
    private long nextWeight = 1;
    private long recordsUntilTimed = 1;

    /**
     * @param group the operator's metric group
     * @param inputCount 1 or 2
     * @param parallelism the operator's parallelism
     */
    public OperatorProbe(MetricGroup group, OperatorSettings settings, int inputCount, int parallelism) {
        this.group = group;
        enabled = settings.metrics().enabled();
        timeEverything = !settings.work().isNone();
        windowMs = settings.metrics().histogramWindowMs();
        inputs = new InputProbe[inputCount];
        for (int index = 0; index < inputCount; index++) {
            inputs[index] = new InputProbe();
        }
        latency = new WindowedHistogram(() -> records() + firings, NANOS_PER_MICRO, windowMs);
        waitingTime = new WindowedHistogram(this::records, 1, windowMs);
        if (enabled) {
            register(parallelism);
        }
    }

    private void register(int parallelism) {
        register("latency", latency);
        register("waitingTime", waitingTime);
        RecordCounter records = new RecordCounter(this::records);
        group.counter("throughputCount", records);
        group.meter("throughput", new MeterView(records, (int) Math.max(5, windowMs / 1000)));
        group.gauge("parallelism", (Gauge<Integer>) () -> parallelism);
        for (int index = 0; index < inputs.length && inputs.length > 1; index++) {
            register("latencyInput" + (index + 1), inputs[index].latency);
            register("waitingTimeInput" + (index + 1), inputs[index].waitingTime);
        }
    }

    /**
     * Registers a histogram with the number and the sum of its values since the start. Differences of these two give
     * the exact mean of any interval, and distinguish "no value" from "all values 0", which the histogram cannot.
     */
    private void register(String name, WindowedHistogram histogram) {
        group.histogram(name, histogram);
        group.counter(name + "Count", new RecordCounter(histogram::valueCount));
        group.counter(name + "Sum", new RecordCounter(histogram::valueSum));
    }

    /** Registers a counter of this operator, such as of dropped records, even if metrics are disabled. */
    public Counter counter(String name) {
        return group.counter(name);
    }

    /** Registers the histogram of the records in a fired window. */
    public ValueProbe windowSize() {
        return new ValueProbe("windowSize");
    }

    /** Registers the metrics of a query's last operator. */
    public ResultProbe results() {
        return new ResultProbe();
    }

    /**
     * To be called before a record is processed.
     *
     * @param input 0 or 1
     * @param ingestionTime the record's ingestion time, ms since the epoch
     * @return the argument of {@link #end}
     */
    public long begin(int input, long ingestionTime) {
        inputs[input].records++;
        if (!enabled || --recordsUntilTimed > 0) {
            return NOT_TIMED;
        }
        timedWeight = nextWeight;
        nextWeight = timeEverything ? 1 : ThreadLocalRandom.current().nextInt(1, 2 * SAMPLE_DISTANCE);
        recordsUntilTimed = nextWeight;
        long now = System.nanoTime();
        long waitedMs = System.currentTimeMillis() - ingestionTime;
        waitingTime.update(waitedMs, timedWeight, now);
        inputs[input].waitingTime.update(waitedMs, timedWeight, now);
        return now == NOT_TIMED ? 1 : now;
    }

    /** To be called after the record was processed, with the result of {@link #begin}. */
    public void end(int input, long begun) {
        if (begun != NOT_TIMED) {
            long now = System.nanoTime();
            latency.update(now - begun, timedWeight, now);
            inputs[input].latency.update(now - begun, timedWeight, now);
        }
    }

    /** To be called before a window fires or a timer is handled. */
    public long beginFiring() {
        return enabled ? System.nanoTime() : NOT_TIMED;
    }

    /** To be called after the firing, with the result of {@link #beginFiring}. */
    public void endFiring(long begun) {
        if (enabled) {
            firings++;
            long now = System.nanoTime();
            latency.update(now - begun, 1, now);
        }
    }

    private long records() {
        long sum = 0;
        for (InputProbe input : inputs) {
            sum += input.records;
        }
        return sum;
    }

    /** Metrics of one input. */
    private final class InputProbe {
        private long records;
        private final WindowedHistogram latency = new WindowedHistogram(() -> records, NANOS_PER_MICRO, windowMs);
        private final WindowedHistogram waitingTime = new WindowedHistogram(() -> records, 1, windowMs);
    }

    /** A histogram in which every value is recorded. */
    public final class ValueProbe {
        private long count;
        private final WindowedHistogram values = new WindowedHistogram(() -> count, 1, windowMs);

        private ValueProbe(String name) {
            if (enabled) {
                register(name, values);
            }
        }

        public void record(long value) {
            if (enabled) {
                count++;
                values.update(value);
            }
        }
    }

    /** Latency metrics of a query's results. */
    public final class ResultProbe {
        private final ValueProbe overallLatency = new ValueProbe("overallLatency");
        private final ValueProbe eventLatency = new ValueProbe("eventLatency");

        /**
         * To be called once for each result, or once for all results of one firing.
         *
         * @param newestIngestionTime of all records that contributed, ms since the epoch
         * @param eventTime the window's end, or the newest timestamp that contributed, ms since the epoch
         */
        public void emitted(long newestIngestionTime, long eventTime) {
            if (enabled) {
                long now = System.currentTimeMillis();
                overallLatency.record(now - newestIngestionTime);
                eventLatency.record(now - eventTime);
            }
        }
    }

    /** Exposes a number that is counted elsewhere as a counter. */
    private record RecordCounter(LongSupplier count) implements Counter {
        @Override
        public void inc() {
            throw new UnsupportedOperationException();
        }

        @Override
        public void inc(long n) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void dec() {
            throw new UnsupportedOperationException();
        }

        @Override
        public void dec(long n) {
            throw new UnsupportedOperationException();
        }

        @Override
        public long getCount() {
            return count.getAsLong();
        }
    }
}
