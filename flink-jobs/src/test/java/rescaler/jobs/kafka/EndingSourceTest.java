package rescaler.jobs.kafka;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.function.BiConsumer;
import org.apache.flink.api.connector.source.ReaderInfo;
import org.apache.flink.api.connector.source.SourceEvent;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.SplitsAssignment;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.KafkaSourceEnumState;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.split.KafkaPartitionSplit;
import org.apache.flink.metrics.groups.SplitEnumeratorMetricGroup;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.junit.jupiter.api.Test;

/**
 * Goal: after a restore every reader gets the signal "no more splits". Regression: a bounded job that was stopped
 * with a savepoint and restarted read everything and then ran forever.
 */
class EndingSourceTest {
    private final TestingContext context = new TestingContext();

    @Test
    void readersAreToldAfterARestore() throws Exception {
        var enumerator = source().restoreEnumerator(context, new KafkaSourceEnumState(Set.of(), true));
        context.registeredReaders().put(1, new ReaderInfo(1, "host"));
        enumerator.addReader(1);
        assertEquals(Set.of(1), context.told);
    }

    @Test
    void readersAreNotToldBeforeThePartitionsAreKnown() throws Exception {
        var enumerator = source().restoreEnumerator(context, new KafkaSourceEnumState(Set.of(), false));
        context.registeredReaders().put(1, new ReaderInfo(1, "host"));
        enumerator.addReader(1);
        assertEquals(Set.of(), context.told);
    }

    private static EndingSource source() {
        return new EndingSource(KafkaSource.<RawRecord>builder()
                .setBootstrapServers("127.0.0.1:1")
                .setGroupId("test")
                .setTopics(List.of("bidEvents"))
                .setBounded(OffsetsInitializer.latest())
                .setDeserializer(new RawRecordSchema())
                .build());
    }

    /** Records which readers got the signal "no more splits". */
    private static final class TestingContext implements SplitEnumeratorContext<KafkaPartitionSplit> {
        private final Set<Integer> told = new TreeSet<>();
        private final Map<Integer, ReaderInfo> readers = new HashMap<>();
        private final Set<SplitsAssignment<KafkaPartitionSplit>> assigned = new HashSet<>();

        @Override
        public SplitEnumeratorMetricGroup metricGroup() {
            return UnregisteredMetricsGroup.createSplitEnumeratorMetricGroup();
        }

        @Override
        public void sendEventToSourceReader(int subtask, SourceEvent event) {}

        @Override
        public int currentParallelism() {
            return 2;
        }

        @Override
        public Map<Integer, ReaderInfo> registeredReaders() {
            return readers;
        }

        @Override
        public void assignSplits(SplitsAssignment<KafkaPartitionSplit> assignment) {
            assigned.add(assignment);
        }

        @Override
        public void signalNoMoreSplits(int subtask) {
            told.add(subtask);
        }

        @Override
        public <T> void callAsync(Callable<T> callable, BiConsumer<T, Throwable> handler) {}

        @Override
        public <T> void callAsync(
                Callable<T> callable, BiConsumer<T, Throwable> handler, long initialDelayMs, long periodMs) {}

        @Override
        public void runInCoordinatorThread(Runnable runnable) {
            runnable.run();
        }
    }
}
