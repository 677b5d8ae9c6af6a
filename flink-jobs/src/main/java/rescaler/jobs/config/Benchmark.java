package rescaler.jobs.config;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** The two workloads. */
public enum Benchmark {
    NEXMARK("nexmark"),
    PSM("psm");

    /** The sink of undecodable records, of either benchmark. */
    public static final String DEAD_LETTER_UID = "sink-dead-letter";

    private final String label;

    Benchmark(String label) {
        this.label = label;
    }

    public String label() {
        return label;
    }

    static Optional<Benchmark> ofLabel(String label) {
        return Arrays.stream(values()).filter(benchmark -> benchmark.label.equals(label)).findFirst();
    }

    static String labels() {
        return Arrays.stream(values()).map(Benchmark::label).collect(Collectors.joining(", "));
    }

    /** Returns every possible operator of a job of this benchmark, by uid: sources, the queries' own, sinks. */
    public Map<String, Operator> operators() {
        Map<String, Operator> operators = new LinkedHashMap<>();
        for (Query query : Query.of(this)) {
            for (Stream stream : query.streams()) {
                operators.put(stream.uid(), new Operator(stream.uid(), Operator.Kind.SOURCE));
            }
            query.operators().forEach(operator -> operators.put(operator.uid(), operator));
            operators.put(query.sinkUid(), new Operator(query.sinkUid(), Operator.Kind.SINK));
        }
        operators.put(DEAD_LETTER_UID, new Operator(DEAD_LETTER_UID, Operator.Kind.SINK));
        return operators;
    }
}
