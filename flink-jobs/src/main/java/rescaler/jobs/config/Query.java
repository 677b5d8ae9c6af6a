package rescaler.jobs.config;

import static rescaler.jobs.config.Operator.allWindow;
import static rescaler.jobs.config.Operator.keyed;
import static rescaler.jobs.config.QueryOption.STATE_TTL_MS;
import static rescaler.jobs.config.QueryOption.WINDOW_SIZE_MS;
import static rescaler.jobs.config.QueryOption.WINDOW_SIZE_RECORDS;
import static rescaler.jobs.config.QueryOption.WINDOW_SLIDE_MS;
import static rescaler.jobs.config.QueryOption.WINDOW_SLIDE_RECORDS;
import static rescaler.jobs.config.Stream.AUCTION;
import static rescaler.jobs.config.Stream.BID;
import static rescaler.jobs.config.Stream.CLICK;
import static rescaler.jobs.config.Stream.IMPRESSION;
import static rescaler.jobs.config.Stream.ITEM;
import static rescaler.jobs.config.Stream.PERSON;
import static rescaler.jobs.config.Stream.SEARCH;

import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * The queries: which streams each reads, which operators it consists of, and which options it takes.
 *
 * <p>Documents are validated against this table; the job graphs are built from the same uids.
 */
public enum Query {
    NEXMARK_Q4(
            Benchmark.NEXMARK,
            "q4",
            List.of(ITEM, AUCTION, BID),
            List.of(keyed("q4-auction-item"), keyed("q4-closing-price"), keyed("q4-category-average")),
            Map.of(STATE_TTL_MS, Defaults.DAY_MS)),
    NEXMARK_Q5(
            Benchmark.NEXMARK,
            "q5",
            List.of(AUCTION, BID),
            List.of(keyed("q5-bid-item"), allWindow("q5-hottest-item")),
            Map.of(WINDOW_SIZE_MS, 10_000L, WINDOW_SLIDE_MS, 1_000L)),
    NEXMARK_Q6(
            Benchmark.NEXMARK,
            "q6",
            List.of(AUCTION, BID),
            List.of(keyed("q6-closing-price"), keyed("q6-seller-average")),
            Map.of(WINDOW_SIZE_RECORDS, 10L, WINDOW_SLIDE_RECORDS, 1L, STATE_TTL_MS, Defaults.DAY_MS)),
    NEXMARK_Q7(
            Benchmark.NEXMARK,
            "q7",
            List.of(AUCTION, BID),
            List.of(keyed("q7-bid-item"), allWindow("q7-highest-bid")),
            Map.of(WINDOW_SIZE_MS, 10_000L)),
    NEXMARK_Q8(
            Benchmark.NEXMARK,
            "q8",
            List.of(PERSON, AUCTION),
            List.of(keyed("q8-new-sellers")),
            Map.of(WINDOW_SIZE_MS, Defaults.MINUTE_MS)),
    PSM_Q1(
            Benchmark.PSM,
            "q1",
            List.of(CLICK),
            List.of(keyed("q1-best-category")),
            Map.of(WINDOW_SIZE_MS, 10 * Defaults.MINUTE_MS)),
    PSM_Q2(
            Benchmark.PSM,
            "q2",
            List.of(CLICK),
            List.of(keyed("q2-product-median")),
            Map.of(WINDOW_SIZE_RECORDS, 10_000L, WINDOW_SLIDE_RECORDS, 1_000L, STATE_TTL_MS, Defaults.DAY_MS)),
    PSM_Q3(
            Benchmark.PSM,
            "q3",
            List.of(CLICK),
            List.of(keyed("q3-owner-median")),
            Map.of(WINDOW_SIZE_MS, Defaults.MINUTE_MS)),
    PSM_Q4(
            Benchmark.PSM,
            "q4",
            List.of(IMPRESSION, CLICK),
            List.of(keyed("q4-impressions-per-click")),
            Map.of(WINDOW_SIZE_MS, 5 * Defaults.MINUTE_MS, WINDOW_SLIDE_MS, Defaults.MINUTE_MS)),
    PSM_Q5(
            Benchmark.PSM,
            "q5",
            List.of(SEARCH, CLICK),
            List.of(keyed("q5-searches-per-click")),
            Map.of(WINDOW_SIZE_MS, Defaults.MINUTE_MS));

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

    /** Returns the queries of a benchmark, in order. */
    public static List<Query> of(Benchmark benchmark) {
        return Arrays.stream(values()).filter(query -> query.benchmark == benchmark).toList();
    }

    /** Returns the name within the benchmark: the document's table, the key of result records. */
    public String label() {
        return label;
    }

    public List<Stream> streams() {
        return streams;
    }

    /** Returns the query's own operators, without sources and sink. */
    public List<Operator> operators() {
        return operators;
    }

    /** Returns the sink's uid. */
    public String sinkUid() {
        return "sink-" + label;
    }

    /** Returns the query's options with their defaults. */
    public Map<QueryOption, Long> options() {
        return options;
    }

    /** Shared default durations; an enum cannot refer to its own constants in its constructors. */
    private static final class Defaults {
        private static final long MINUTE_MS = 60_000;
        private static final long DAY_MS = 24 * 60 * MINUTE_MS;
    }
}
