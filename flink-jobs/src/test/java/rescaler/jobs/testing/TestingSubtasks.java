package rescaler.jobs.testing;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.function.Supplier;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;
import org.apache.flink.runtime.state.StateBackend;
import org.apache.flink.runtime.state.hashmap.HashMapStateBackend;
import org.apache.flink.streaming.api.operators.TwoInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;
import org.apache.flink.streaming.util.KeyedTwoInputStreamOperatorTestHarness;

/**
 * All subtasks of a keyed operator with two inputs, fed by key as a cluster would, and restorable at any parallelism.
 *
 * <p>Built on Flink's own harnesses. Output is collected over restores, as (timestamp, value) in order of emission.
 */
public final class TestingSubtasks<K, L, R, O> implements AutoCloseable {
    public static final int MAX_PARALLELISM = 128;

    private final Supplier<TwoInputStreamOperator<L, R, O>> operator;
    private final KeySelector<L, K> leftKey;
    private final KeySelector<R, K> rightKey;
    private final TypeInformation<K> keyType;
    private final Supplier<StateBackend> backend;
    private final List<StreamRecord<O>> output = new ArrayList<>();
    private List<KeyedTwoInputStreamOperatorTestHarness<K, L, R, O>> subtasks = List.of();

    public TestingSubtasks(
            Supplier<TwoInputStreamOperator<L, R, O>> operator,
            KeySelector<L, K> leftKey,
            KeySelector<R, K> rightKey,
            TypeInformation<K> keyType,
            int parallelism)
            throws Exception {
        this(operator, leftKey, rightKey, keyType, parallelism, HashMapStateBackend::new);
    }

    public TestingSubtasks(
            Supplier<TwoInputStreamOperator<L, R, O>> operator,
            KeySelector<L, K> leftKey,
            KeySelector<R, K> rightKey,
            TypeInformation<K> keyType,
            int parallelism,
            Supplier<StateBackend> backend)
            throws Exception {
        this.operator = operator;
        this.leftKey = leftKey;
        this.rightKey = rightKey;
        this.keyType = keyType;
        this.backend = backend;
        start(parallelism, null);
    }

    private void start(int parallelism, OperatorSubtaskState state) throws Exception {
        List<KeyedTwoInputStreamOperatorTestHarness<K, L, R, O>> started = new ArrayList<>();
        for (int subtask = 0; subtask < parallelism; subtask++) {
            KeyedTwoInputStreamOperatorTestHarness<K, L, R, O> harness =
                    new KeyedTwoInputStreamOperatorTestHarness<>(
                            operator.get(), leftKey, rightKey, keyType, MAX_PARALLELISM, parallelism, subtask);
            harness.setStateBackend(backend.get());
            harness.setup();
            if (state != null) {
                harness.initializeState(
                        AbstractStreamOperatorTestHarness.repartitionOperatorState(
                                state, MAX_PARALLELISM, subtasks.size(), parallelism, subtask));
            }
            harness.open();
            started.add(harness);
        }
        subtasks = started;
    }

    public void left(L value, long timestamp) throws Exception {
        subtaskOf(leftKey.getKey(value)).processElement1(value, timestamp);
    }

    public void right(R value, long timestamp) throws Exception {
        subtaskOf(rightKey.getKey(value)).processElement2(value, timestamp);
    }

    public void watermark(long timestamp) throws Exception {
        for (KeyedTwoInputStreamOperatorTestHarness<K, L, R, O> subtask : subtasks) {
            subtask.processBothWatermarks(new Watermark(timestamp));
        }
    }

    /** Takes a checkpoint and goes on from it with another number of subtasks. */
    public void restore(int parallelism) throws Exception {
        OperatorSubtaskState[] states = new OperatorSubtaskState[subtasks.size()];
        for (int subtask = 0; subtask < states.length; subtask++) {
            states[subtask] = subtasks.get(subtask).snapshot(1, 1);
        }
        drain();
        for (KeyedTwoInputStreamOperatorTestHarness<K, L, R, O> subtask : subtasks) {
            subtask.close();
        }
        start(parallelism, AbstractStreamOperatorTestHarness.repackageState(states));
    }

    /** Number of values and timers in state, after caches were written to it; for the heap backend only. */
    public int stateEntries() throws Exception {
        int entries = 0;
        for (KeyedTwoInputStreamOperatorTestHarness<K, L, R, O> subtask : subtasks) {
            subtask.snapshot(2, 2);
            entries += subtask.numKeyedStateEntries() + subtask.numEventTimeTimers();
        }
        return entries;
    }

    /** What was emitted since the beginning, as text. */
    public List<String> output(Function<O, String> text) {
        drain();
        return output.stream().map(record -> record.getTimestamp() + " " + text.apply(record.getValue())).toList();
    }

    private void drain() {
        for (KeyedTwoInputStreamOperatorTestHarness<K, L, R, O> subtask : subtasks) {
            output.addAll(subtask.getRecordOutput());
            subtask.getOutput().clear();
        }
    }

    private KeyedTwoInputStreamOperatorTestHarness<K, L, R, O> subtaskOf(K key) {
        return subtasks.get(
                KeyGroupRangeAssignment.assignKeyToParallelOperator(key, MAX_PARALLELISM, subtasks.size()));
    }

    @Override
    public void close() throws Exception {
        for (KeyedTwoInputStreamOperatorTestHarness<K, L, R, O> subtask : subtasks) {
            subtask.close();
        }
    }
}
