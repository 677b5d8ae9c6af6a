package rescaler.jobs.trials;

import java.util.concurrent.locks.LockSupport;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * A small stateful job that runs on every Flink from 1.18 on; {@code scripts/test-versions.sh} scales it on each.
 *
 * <p>It uses only what these versions have in common: no sink whose package has moved, no open method whose argument
 * has changed. A subtask of the source takes 5 ms per number, and so emits 200 per second. The source creates as
 * many splits as its initial number of subtasks; a subtask without one would end, so the job starts at its maximum
 * parallelism.
 */
public final class AnyVersion {
    private static final long EACH_NANOS = 5_000_000;
    private static final int KEYS = 1000;
    private static final int WIDEST = 6;

    private AnyVersion() {}

    public static void main(String[] args) throws Exception {
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment();
        environment.setParallelism(WIDEST);
        environment
                .fromSequence(0, Long.MAX_VALUE / 2)
                .map(new Paced())
                .name("paced")
                .uid("paced")
                .keyBy(number -> number % KEYS)
                .map(new Counted())
                .name("counted")
                .uid("counted")
                .filter(count -> count < 0)
                .print();
        environment.execute("any-version");
    }

    /** Delays each number. */
    private static final class Paced implements MapFunction<Long, Long> {
        private static final long serialVersionUID = 1L;

        @Override
        public Long map(Long number) {
            LockSupport.parkNanos(EACH_NANOS);
            return number;
        }
    }

    /** Counts the occurrences of each key. */
    private static final class Counted extends RichMapFunction<Long, Long> {
        private static final long serialVersionUID = 1L;

        private transient ValueState<Long> count;

        @Override
        public Long map(Long number) throws Exception {
            if (count == null) {
                count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Types.LONG));
            }
            Long before = count.value();
            long now = before == null ? 1 : before + 1;
            count.update(now);
            return now;
        }
    }
}
