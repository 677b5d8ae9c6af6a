package rescaler.jobs.trials;

import java.util.Collection;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceOutput;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource.NumberSequenceSplit;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimitedSourceReader;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.metrics.Counter;

/**
 * Flink's number source at a fixed total rate of all subtasks; between two numbers a subtask is idle. Flink's own
 * does not count what it reads; this one optionally does, like the sources of Kafka and most others.
 */
final class RatedSource implements Source<Long, NumberSequenceSplit, Collection<NumberSequenceSplit>> {
    private static final long serialVersionUID = 1L;

    private final NumberSequenceSource numbers;
    private final double perSecond;
    private final Boundedness boundedness;
    private final boolean counts;

    private RatedSource(long count, double perSecond, Boundedness boundedness, boolean counts) {
        numbers = new NumberSequenceSource(0, count - 1);
        this.perSecond = perSecond;
        this.boundedness = boundedness;
        this.counts = counts;
    }

    static RatedSource endless(double perSecond) {
        return new RatedSource(Long.MAX_VALUE / 2, perSecond, Boundedness.CONTINUOUS_UNBOUNDED, true);
    }

    static RatedSource uncounted(double perSecond) {
        return new RatedSource(Long.MAX_VALUE / 2, perSecond, Boundedness.CONTINUOUS_UNBOUNDED, false);
    }

    static RatedSource bounded(long count, double perSecond) {
        return new RatedSource(count, perSecond, Boundedness.BOUNDED, true);
    }

    @Override
    public Boundedness getBoundedness() {
        return boundedness;
    }

    @Override
    @SuppressWarnings("unchecked") // The strategy makes limiters of a raw type.
    public SourceReader<Long, NumberSequenceSplit> createReader(SourceReaderContext context) {
        int parallelism = context.currentParallelism();
        SourceReader<Long, NumberSequenceSplit> reader = numbers.createReader(context);
        Counter read = context.metricGroup().getIOMetricGroup().getNumRecordsInCounter();
        return new RateLimitedSourceReader<>(
                counts ? new CountingReader(reader, read) : reader,
                RateLimiterStrategy.<NumberSequenceSplit>perSecond(perSecond).createRateLimiter(parallelism));
    }

    @Override
    public SplitEnumerator<NumberSequenceSplit, Collection<NumberSequenceSplit>> createEnumerator(
            SplitEnumeratorContext<NumberSequenceSplit> context) {
        return numbers.createEnumerator(context);
    }

    @Override
    public SplitEnumerator<NumberSequenceSplit, Collection<NumberSequenceSplit>> restoreEnumerator(
            SplitEnumeratorContext<NumberSequenceSplit> context, Collection<NumberSequenceSplit> state) {
        return numbers.restoreEnumerator(context, state);
    }

    @Override
    public SimpleVersionedSerializer<NumberSequenceSplit> getSplitSerializer() {
        return numbers.getSplitSerializer();
    }

    @Override
    public SimpleVersionedSerializer<Collection<NumberSequenceSplit>> getEnumeratorCheckpointSerializer() {
        return numbers.getEnumeratorCheckpointSerializer();
    }

    /** Delegates everything, and counts the numbers. */
    private record CountingReader(SourceReader<Long, NumberSequenceSplit> reader, Counter read)
            implements SourceReader<Long, NumberSequenceSplit> {
        @Override
        public void start() {
            reader.start();
        }

        @Override
        public InputStatus pollNext(ReaderOutput<Long> output) throws Exception {
            return reader.pollNext(new CountingOutput(output, read));
        }

        @Override
        public List<NumberSequenceSplit> snapshotState(long checkpoint) {
            return reader.snapshotState(checkpoint);
        }

        @Override
        public CompletableFuture<Void> isAvailable() {
            return reader.isAvailable();
        }

        @Override
        public void addSplits(List<NumberSequenceSplit> splits) {
            reader.addSplits(splits);
        }

        @Override
        public void notifyNoMoreSplits() {
            reader.notifyNoMoreSplits();
        }

        @Override
        public void close() throws Exception {
            reader.close();
        }
    }

    /** Delegates everything, and counts the numbers. */
    private record CountingOutput(ReaderOutput<Long> output, Counter read) implements ReaderOutput<Long> {
        @Override
        public void collect(Long number) {
            read.inc();
            output.collect(number);
        }

        @Override
        public void collect(Long number, long timestamp) {
            read.inc();
            output.collect(number, timestamp);
        }

        @Override
        public void emitWatermark(Watermark watermark) {
            output.emitWatermark(watermark);
        }

        @Override
        public void markIdle() {
            output.markIdle();
        }

        @Override
        public void markActive() {
            output.markActive();
        }

        @Override
        public SourceOutput<Long> createOutputForSplit(String split) {
            return output.createOutputForSplit(split);
        }

        @Override
        public void releaseOutputForSplit(String split) {
            output.releaseOutputForSplit(split);
        }
    }
}
