package rescaler.jobs.testing;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.function.Supplier;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;
import org.apache.flink.runtime.state.StateBackend;
import org.apache.flink.runtime.state.hashmap.HashMapStateBackend;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.TwoInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;
import org.apache.flink.streaming.util.KeyedTwoInputStreamOperatorTestHarness;

/**
 * All subtasks of an operator keyed by a number, fed by key like in a cluster, and restorable at any parallelism.
 *
 * <p>Built on Flink's test harnesses. Output is collected across restores, in order of emission. An operator with
 * one input has only the left one.
 */
public final class TestingSubtasks<L, R, O> implements AutoCloseable {
    public static final int MAX_PARALLELISM = 128;

    private final Starter<L, R, O> starter;
    private final KeySelector<L, Long> leftKey;
    private final KeySelector<R, Long> rightKey;
    private Supplier<StateBackend> backend = HashMapStateBackend::new;
    private final List<StreamRecord<? extends O>> output = new ArrayList<>();
    private List<Subtask<L, R, O>> subtasks = List.of();

    private TestingSubtasks(
            Starter<L, R, O> starter, KeySelector<L, Long> leftKey, KeySelector<R, Long> rightKey) {
        this.starter = starter;
        this.leftKey = leftKey;
        this.rightKey = rightKey;
    }

    /** Creates an operator with one input, with one subtask on the heap backend. */
    public static <I, O> TestingSubtasks<I, Void, O> oneInput(
            Supplier<OneInputStreamOperator<I, O>> operator, KeySelector<I, Long> key) throws Exception {
        Starter<I, Void, O> starter = (parallelism, index) -> {
            var harness = new KeyedOneInputStreamOperatorTestHarness<>(
                    operator.get(), key, Types.LONG, MAX_PARALLELISM, parallelism, index);
            return new Subtask<I, Void, O>(
                    harness,
                    harness::processElement,
                    (nothing, timestamp) -> {
                        throw new UnsupportedOperationException();
                    },
                    harness::processWatermark,
                    harness::numKeyedStateEntries);
        };
        return new TestingSubtasks<I, Void, O>(starter, key, nothing -> 0L).started(1);
    }

    /** Creates an operator with two inputs, with one subtask on the heap backend. */
    public static <L, R, O> TestingSubtasks<L, R, O> twoInputs(
            Supplier<TwoInputStreamOperator<L, R, O>> operator,
            KeySelector<L, Long> leftKey,
            KeySelector<R, Long> rightKey)
            throws Exception {
        Starter<L, R, O> starter = (parallelism, index) -> {
            var harness = new KeyedTwoInputStreamOperatorTestHarness<>(
                    operator.get(), leftKey, rightKey, Types.LONG, MAX_PARALLELISM, parallelism, index);
            return new Subtask<L, R, O>(
                    harness,
                    harness::processElement1,
                    harness::processElement2,
                    harness::processBothWatermarks,
                    harness::numKeyedStateEntries);
        };
        return new TestingSubtasks<>(starter, leftKey, rightKey).started(1);
    }

    /** Restarts without state on another state backend. */
    public TestingSubtasks<L, R, O> on(Supplier<StateBackend> other) throws Exception {
        close();
        backend = other;
        return started(subtasks.size());
    }

    private TestingSubtasks<L, R, O> started(int parallelism) throws Exception {
        start(parallelism, null);
        return this;
    }

    private void start(int parallelism, OperatorSubtaskState state) throws Exception {
        List<Subtask<L, R, O>> started = new ArrayList<>();
        for (int index = 0; index < parallelism; index++) {
            Subtask<L, R, O> subtask = starter.start(parallelism, index);
            subtask.harness.setStateBackend(backend.get());
            subtask.harness.setup();
            if (state != null) {
                subtask.harness.initializeState(AbstractStreamOperatorTestHarness.repartitionOperatorState(
                        state, MAX_PARALLELISM, subtasks.size(), parallelism, index));
            }
            subtask.harness.open();
            started.add(subtask);
        }
        subtasks = started;
    }

    public void left(L value, long timestamp) throws Exception {
        subtaskOf(leftKey.getKey(value)).left.process(value, timestamp);
    }

    public void right(R value, long timestamp) throws Exception {
        subtaskOf(rightKey.getKey(value)).right.process(value, timestamp);
    }

    public void watermark(long timestamp) throws Exception {
        for (Subtask<L, R, O> subtask : subtasks) {
            subtask.watermark.process(new Watermark(timestamp));
        }
    }

    /** Takes a checkpoint and resumes from it with another number of subtasks. */
    public TestingSubtasks<L, R, O> restore(int parallelism) throws Exception {
        OperatorSubtaskState[] states = new OperatorSubtaskState[subtasks.size()];
        for (int index = 0; index < states.length; index++) {
            states[index] = subtasks.get(index).harness.snapshot(1, 1);
        }
        drain();
        close();
        start(parallelism, AbstractStreamOperatorTestHarness.repackageState(states));
        return this;
    }

    /** Returns the number of values and timers in state, after caches were flushed; for the heap backend only. */
    public int stateEntries() throws Exception {
        int entries = 0;
        for (Subtask<L, R, O> subtask : subtasks) {
            subtask.harness.snapshot(2, 2);
            entries += subtask.stateEntries.get() + subtask.harness.numEventTimeTimers();
        }
        return entries;
    }

    /** Returns everything emitted since the beginning: the timestamp, a space, and the value as text. */
    public List<String> output(Function<O, String> text) {
        drain();
        List<String> rows = new ArrayList<>();
        for (StreamRecord<? extends O> record : output) {
            rows.add(record.getTimestamp() + " " + text.apply(record.getValue()));
        }
        return rows;
    }

    private void drain() {
        for (Subtask<L, R, O> subtask : subtasks) {
            output.addAll(subtask.harness.extractOutputStreamRecords());
            subtask.harness.getOutput().clear();
        }
    }

    private Subtask<L, R, O> subtaskOf(Long key) {
        return subtasks.get(
                KeyGroupRangeAssignment.assignKeyToParallelOperator(key, MAX_PARALLELISM, subtasks.size()));
    }

    @Override
    public void close() throws Exception {
        for (Subtask<L, R, O> subtask : subtasks) {
            subtask.harness.close();
        }
    }

    private interface Starter<L, R, O> {
        Subtask<L, R, O> start(int parallelism, int index) throws Exception;
    }

    private interface Input<T> {
        void process(T value, long timestamp) throws Exception;
    }

    private interface Watermarks {
        void process(Watermark watermark) throws Exception;
    }

    private record Subtask<L, R, O>(
            AbstractStreamOperatorTestHarness<O> harness,
            Input<L> left,
            Input<R> right,
            Watermarks watermark,
            Supplier<Integer> stateEntries) {}
}
