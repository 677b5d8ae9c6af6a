package rescaler.jobs.config;

import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * The queries: which streams each reads, which operators it consists of, and which options it takes.
 *
 * <p>This table is what a document is checked against; the job graphs are built from the same uids.
 */
public enum Query {
    NEXMARK_Q7(
            Benchmark.NEXMARK,
            "q7",
            List.of(Stream.AUCTION, Stream.BID),
            List.of(Operator.keyed("q7-bid-item"), Operator.allWindow("q7-highest-bid")),
            Map.of(QueryOption.WINDOW_SIZE_MS, 10_000L));

    private final Benchmark benchmark;
    private final String label;
    private final List<Stream> streams;
    private final List<Operator> operators;
    private final Map<QueryOption, Long> options;

    Query(
            Benchmark benchmark,
            String label,
            List<Stream> streams,
            List<Operator> operators,
            Map<QueryOption, Long> options) {
        this.benchmark = benchmark;
        this.label = label;
        this.streams = streams;
        this.operators = operators;
        this.options = new EnumMap<>(options);
    }

    /** The queries of a benchmark, in order. */
    public static List<Query> of(Benchmark benchmark) {
        return Arrays.stream(values()).filter(query -> query.benchmark == benchmark).toList();
    }

    /** Name within the benchmark: the document's table, the key of result records. */
    public String label() {
        return label;
    }

    public List<Stream> streams() {
        return streams;
    }

    /** The query's own operators, without sources and sink. */
    public List<Operator> operators() {
        return operators;
    }

    /** The sink's uid. */
    public String sinkUid() {
        return "sink-" + label;
    }

    /** The options the query takes, with the value of each where the document is silent. */
    public Map<QueryOption, Long> options() {
        return options;
    }
}
