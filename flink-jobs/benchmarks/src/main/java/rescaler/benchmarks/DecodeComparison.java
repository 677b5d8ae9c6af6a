package rescaler.benchmarks;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collection;
import java.util.EnumMap;
import java.util.Map;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.Options;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;

/**
 * Runs the ways to decode in turn, each time in a new JVM, so that what else happens on the machine hits all alike, and
 * prints the median of the rounds.
 *
 * <p>JMH itself would run all forks of one way before the next. The number of a round is the median of its iterations'
 * CPU time per event.
 */
public final class DecodeComparison {
    private static final int ROUNDS_DEFAULT = 10;
    private static final int ROUNDS_MAX = 1_000;
    private static final int WARM_UPS = 2;
    private static final int ITERATIONS = 3;
    private static final TimeValue ITERATION = TimeValue.milliseconds(700);

    /** The ways to decode; each is the name of a method of the benchmark. */
    private enum Way {
        DECODER("decoder", "our decoder"),
        REUSED_KRYO("reusedKryo", "Kryo, reused"),
        NEW_KRYO("newKryo", "Kryo, new for each message");

        private final String method;
        private final String title;

        Way(String method, String title) {
            this.method = method;
            this.title = title;
        }
    }

    private DecodeComparison() {}

    public static void main(String[] args) throws RunnerException {
        int rounds = args.length > 1 ? roundsOf(args[1]) : ROUNDS_DEFAULT;
        if (args.length < 1 || args.length > 2 || rounds < 0 || !Files.isReadable(Path.of(args[0]))) {
            System.err.println("usage: decode-benchmark RECORDS [ROUNDS]\n"
                    + "  RECORDS: a file made with event-producer generate --benchmark nexmark --format wire");
            System.exit(2);
        }
        Map<Way, double[]> cpuNanos = new EnumMap<>(Way.class);
        for (Way way : Way.values()) {
            cpuNanos.put(way, new double[rounds]);
        }
        for (int round = 0; round < rounds; round++) {
            StringBuilder line = new StringBuilder("round " + (round + 1) + ", CPU ns per event:");
            for (Way way : Way.values()) {
                double measured = measure(way, args[0]);
                cpuNanos.get(way)[round] = measured;
                line.append(String.format("  %s %.1f", way.method, measured));
            }
            System.out.println(line);
        }
        print(cpuNanos);
    }

    /** The number of rounds, or -1 if it is none. */
    private static int roundsOf(String text) {
        try {
            int rounds = Integer.parseInt(text);
            return rounds >= 1 && rounds <= ROUNDS_MAX ? rounds : -1;
        } catch (NumberFormatException problem) {
            return -1;
        }
    }

    /** CPU time per event in ns, in a new JVM. */
    private static double measure(Way way, String file) throws RunnerException {
        Options options = new OptionsBuilder()
                .include(DecodeBenchmark.class.getName() + "\\." + way.method + "$")
                .forks(1)
                .warmupIterations(WARM_UPS)
                .warmupTime(ITERATION)
                .measurementIterations(ITERATIONS)
                .measurementTime(ITERATION)
                .shouldFailOnError(true)
                .verbosity(VerboseMode.SILENT)
                .jvmArgs("-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-D" + Messages.FILE_PROPERTY + "=" + file)
                .build();
        Collection<RunResult> results = new Runner(options).run();
        RunResult only = results.iterator().next();
        return median(only.getBenchmarkResults().stream()
                .flatMap(fork -> fork.getIterationResults().stream())
                .mapToDouble(DecodeComparison::cpuNanosPerEvent)
                .toArray());
    }

    private static double cpuNanosPerEvent(IterationResult iteration) {
        double nanos = iteration.getSecondaryResults().get("cpuNanos").getScore();
        double events = iteration.getSecondaryResults().get("events").getScore();
        return nanos / events;
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    /** A table, and the ratios round by round: neighbours in time are compared with each other. */
    private static void print(Map<Way, double[]> cpuNanos) {
        double[] ours = cpuNanos.get(Way.DECODER);
        System.out.println("\n| | CPU ns per event, median | times our decoder: median (lowest to highest round) |\n|---|---|---|");
        cpuNanos.forEach((way, theirs) -> {
            double[] ratios = new double[ours.length];
            Arrays.setAll(ratios, round -> theirs[round] / ours[round]);
            System.out.printf(
                    "| %s | %.1f | %.1f (%.1f to %.1f) |%n",
                    way.title,
                    median(theirs),
                    median(ratios),
                    Arrays.stream(ratios).min().orElseThrow(),
                    Arrays.stream(ratios).max().orElseThrow());
        });
    }
}
