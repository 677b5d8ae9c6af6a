package rescaler.jobs.trials;

import java.util.concurrent.locks.LockSupport;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/**
 * Typical user jobs, each with one trait that can mislead an auto-scaler; {@code scripts/try-jobs.sh} and
 * {@code scripts/try-cluster.sh} run them.
 *
 * <p>The only argument names the job. Records cost time by waiting, not by computing: a subtask that waits 2 ms per
 * record handles 500 records per second and counts as busy, and all jobs run on two cores without slowing each other
 * down.
 */
public final class Trials {
    /** Cost of a record, in nanoseconds. */
    private static final long WORK_NANOS = 2_000_000;

    private Trials() {}

    public static void main(String[] args) throws Exception {
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment();
        environment.setParallelism(1);
        String job = args.length == 1 ? args[0] : "";
        switch (job) {
            case "one-chain" -> oneChain(environment, RatedSource.endless(700));
            case "one-chain-uncounted" -> oneChain(environment, RatedSource.uncounted(700));
            case "filter-in-source-chain" -> filterInSourceChain(environment);
            case "bounded-beside-endless" -> boundedBesideEndless(environment);
            case "no-checkpoints" -> noCheckpoints(environment);
            case "two-unnamed" -> twoUnnamed(environment);
            case "hot-key" -> hotKey(environment);
            case "broadcast" -> work(numbers(environment, 600).broadcast(), "work");
            case "fixed-rate-sink" -> fixedRateSink(environment);
            case "failing" -> work(numbers(environment, 300).map(new Failing()).rebalance(), "work");
            default -> throw new IllegalArgumentException("no such job: \"" + job + "\"");
        }
        environment.execute(job);
    }

    private static DataStream<Long> numbers(StreamExecutionEnvironment environment, double perSecond) {
        return environment.fromSource(RatedSource.endless(perSecond), WatermarkStrategy.noWatermarks(), "numbers");
    }

    /** Source, work and sink in one chain, with too low a parallelism. */
    private static void oneChain(StreamExecutionEnvironment environment, RatedSource source) {
        environment
                .fromSource(source, WatermarkStrategy.noWatermarks(), "numbers")
                .map(new Work(WORK_NANOS))
                .sinkTo(new DiscardingSink<>());
    }

    /** Adds two subtasks that take {@link #WORK_NANOS} per record, with a chained sink. */
    private static void work(DataStream<Long> records, String name) {
        records.map(new Work(WORK_NANOS)).name(name).setParallelism(2).sinkTo(new DiscardingSink<>()).setParallelism(2);
    }

    /** One record of ten leaves the source's chain; the chain is busy at 60 %. */
    private static void filterInSourceChain(StreamExecutionEnvironment environment) {
        DataStream<Long> kept =
                numbers(environment, 300).map(new Work(WORK_NANOS)).filter(number -> number % 10 == 0);
        work(kept.rebalance(), "work");
    }

    /** A source that ends after a second, and an endless one. */
    private static void boundedBesideEndless(StreamExecutionEnvironment environment) {
        DataStream<Long> history = environment.fromSource(
                RatedSource.bounded(300, 300), WatermarkStrategy.noWatermarks(), "history");
        work(history.union(numbers(environment, 600)).rebalance(), "work");
    }

    private static void noCheckpoints(StreamExecutionEnvironment environment) {
        environment.getCheckpointConfig().disableCheckpointing();
        work(numbers(environment, 600).rebalance(), "work");
    }

    /** Two operators with Flink's default name "Map"; the second one has too low a parallelism. */
    private static void twoUnnamed(StreamExecutionEnvironment environment) {
        numbers(environment, 600)
                .rebalance()
                .map(new Work(WORK_NANOS))
                .setParallelism(2)
                .rebalance()
                .map(new Work(WORK_NANOS))
                .setParallelism(1)
                .sinkTo(new DiscardingSink<>())
                .setParallelism(1);
    }

    /** Seven records of ten have the same key: more than one subtask handles. */
    private static void hotKey(StreamExecutionEnvironment environment) {
        work(numbers(environment, 900).keyBy(number -> number % 10 < 7 ? 0 : number % 1000), "work");
    }

    /** An external system behind the sink accepts 400 records per second in total; 900 arrive. */
    private static void fixedRateSink(StreamExecutionEnvironment environment) {
        numbers(environment, 900)
                .rebalance()
                .map(new Outside())
                .name("write")
                .setParallelism(2)
                .sinkTo(new DiscardingSink<>())
                .setParallelism(2);
    }

    /** Delays each record. */
    private record Work(long nanos) implements MapFunction<Long, Long> {
        @Override
        public Long map(Long number) {
            waitUntil(System.nanoTime() + nanos);
            return number;
        }
    }

    /** A system shared by all subtasks of the job, which are in one process. */
    private static final class Outside implements MapFunction<Long, Long> {
        private static final long serialVersionUID = 1L;
        private static final long EACH_NANOS = 1_000_000_000 / 400;
        private static long next = System.nanoTime();

        @Override
        public Long map(Long number) {
            waitUntil(turn());
            return number;
        }

        private static synchronized long turn() {
            next = Math.max(next, System.nanoTime() - EACH_NANOS) + EACH_NANOS;
            return next;
        }
    }

    /** Fails some 20 s after each start of its task, so that the job is restarted again and again. */
    private static final class Failing implements MapFunction<Long, Long> {
        private static final long serialVersionUID = 1L;
        private static final int RECORDS_MAX = 6_000;

        private transient int records;

        @Override
        public Long map(Long number) {
            records++;
            if (records > RECORDS_MAX) {
                throw new IllegalStateException("this job fails after " + RECORDS_MAX + " records, as it should");
            }
            return number;
        }
    }

    private static void waitUntil(long nanoTime) {
        for (long left = nanoTime - System.nanoTime(); left > 0; left = nanoTime - System.nanoTime()) {
            LockSupport.parkNanos(left);
        }
    }
}
