package rescaler.jobs.config;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.toml.TomlMapper;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Parses a job document from TOML and rejects unknown, missing, out-of-range or inconsistent values.
 *
 * <p>All problems are reported together. The rescaler validates the same document before it publishes it; the job
 * does so again because documents can be submitted by hand.
 */
public final class JobDocumentReader {
    private static final long FORMAT = 1;
    private static final long LONGEST_MS = QueryOption.LONGEST_MS;
    /** Flink's upper bound of key groups. */
    private static final int MOST_KEY_GROUPS = 1 << 15;
    private static final long MOST_TASK_MANAGERS = 10_000;
    /** Maximum artificial cost of a record: one second. */
    private static final long MOST_WORK_MICROS = 1_000_000;

    /** Far more than a task manager's heap at about 300 bytes per key. */
    private static final int MOST_CACHED_KEYS = 100_000_000;

    private static final Pattern TOPIC_PREFIX = Pattern.compile("[A-Za-z0-9._-]{0,100}");
    private static final Pattern JOB_NAME = Pattern.compile("[a-z0-9][a-z0-9._-]{0,62}");

    private final List<String> problems = new ArrayList<>();

    private JobDocumentReader() {}

    /** Parses and validates the document. */
    public static JobDocument read(String toml) throws JobDocumentException {
        JsonNode root;
        try {
            root = new TomlMapper().readTree(toml);
        } catch (JsonProcessingException e) {
            throw new JobDocumentException(List.of("it is not TOML: " + e.getMessage()));
        }
        JobDocumentReader reader = new JobDocumentReader();
        JobDocument document = reader.document(new TomlTable((ObjectNode) root, "", reader.problems));
        if (!reader.problems.isEmpty()) {
            throw new JobDocumentException(reader.problems);
        }
        return document;
    }

    private JobDocument document(TomlTable root) {
        root.requiredInteger("format", FORMAT, FORMAT);
        Benchmark benchmark = benchmark(root);
        Map<String, Operator> operators = benchmark.operators();
        oneOf(root, "restart_mode", "savepoint-restart", List.of("savepoint-restart", "in-place"));
        root.integer("task_managers", 1, MOST_TASK_MANAGERS, 1);
        JobDocument document =
                new JobDocument(
                        jobName(root),
                        root.requiredInteger("generation", 1, Long.MAX_VALUE),
                        instant(root, "issued_at", root.requiredText("issued_at")),
                        root.optionalText("expires_at").map(text -> instant(root, "expires_at", text)),
                        root.optionalText("reason").orElse(""),
                        benchmark,
                        parallelism(root.table("parallelism"), operators),
                        queries(root.table("queries"), benchmark),
                        work(root.table("work"), operators),
                        source(root.table("source")),
                        metrics(root.table("metrics")),
                        checkpoint(root.table("checkpoint")),
                        kafka(root.table("kafka")),
                        sink(root.table("sink")));
        root.refuseUnknownKeys();
        checkTransactionTimeout(root, document);
        return document;
    }

    private static String jobName(TomlTable root) {
        String job = root.requiredText("job");
        if (!job.isEmpty() && !JOB_NAME.matcher(job).matches()) {
            root.problem(
                    "job",
                    "is \"" + job + "\", but must be 1 to 63 of a-z, 0-9, '.', '_', '-' and begin with a letter or digit");
        }
        return job;
    }

    private static Benchmark benchmark(TomlTable root) {
        String label = root.requiredText("benchmark");
        Optional<Benchmark> benchmark = Benchmark.ofLabel(label);
        if (benchmark.isEmpty() && !label.isEmpty()) {
            root.problem("benchmark", "is \"" + label + "\", but must be one of " + Benchmark.labels());
        }
        return benchmark.orElse(Benchmark.NEXMARK);
    }

    private static Instant instant(TomlTable table, String key, String text) {
        try {
            return text.isEmpty() ? Instant.EPOCH : OffsetDateTime.parse(text).toInstant();
        } catch (DateTimeException e) {
            table.problem(key, "is \"" + text + "\", but must be a time like 2026-01-31T23:59:59Z (RFC 3339)");
            return Instant.EPOCH;
        }
    }

    private static String oneOf(TomlTable table, String key, String fallback, List<String> choices) {
        String value = table.optionalText(key).orElse(fallback);
        if (!choices.contains(value)) {
            table.problem(key, "is \"" + value + "\", but must be one of " + String.join(", ", choices));
            return fallback;
        }
        return value;
    }

    private static JobDocument.Parallelism parallelism(TomlTable table, Map<String, Operator> operators) {
        int max = (int) table.integer("max", 1, MOST_KEY_GROUPS, 128);
        int defaultValue = (int) table.requiredInteger("default", 1, MOST_KEY_GROUPS);
        if (defaultValue > max) {
            table.problem("default", aboveMaximum(defaultValue, max));
        }
        Map<String, Integer> byUid = new LinkedHashMap<>();
        TomlTable entries = table.table("operators");
        for (String uid : entries.keys()) {
            int value = (int) entries.integer(uid, 0, MOST_KEY_GROUPS, 0);
            Operator operator = operators.get(uid);
            if (operator == null) {
                entries.problem(uid, unknownUid(operators));
            } else if (operator.kind() == Operator.Kind.ALL_WINDOW && value != 1) {
                entries.problem(uid, "is " + value + ", but this operator is one window over everything and always"
                        + " runs at 1; remove the key");
            } else if (value > max) {
                entries.problem(uid, aboveMaximum(value, max));
            } else if (value > 0) {
                byUid.put(uid, value);
            }
        }
        table.refuseUnknownKeys();
        return new JobDocument.Parallelism(defaultValue, max, Map.copyOf(byUid));
    }

    private static String aboveMaximum(long value, long max) {
        return "is " + value + ", above `parallelism.max` = " + max + "; use at most " + max;
    }

    private static String unknownUid(Map<String, Operator> operators) {
        return "is not the uid of an operator; use one of " + String.join(", ", operators.keySet());
    }

    private Map<Query, QuerySettings> queries(TomlTable table, Benchmark benchmark) {
        Map<Query, QuerySettings> enabled = new EnumMap<>(Query.class);
        for (Query query : Query.of(benchmark)) {
            boolean present = table.has(query.label());
            TomlTable entry = table.table(query.label());
            boolean on = entry.flag("enabled", true);
            QuerySettings settings = querySettings(query, entry);
            if (present && on) {
                enabled.put(query, settings);
            }
        }
        table.refuseUnknownKeys();
        if (enabled.isEmpty() && problems.isEmpty()) {
            table.problem("*", "no query is switched on; add a table such as [queries.q7] with enabled = true");
        }
        return enabled;
    }

    private static QuerySettings querySettings(Query query, TomlTable entry) {
        Map<QueryOption, Long> options = new EnumMap<>(query.options());
        options.replaceAll((option, fallback) -> entry.integer(option.key(), 1, option.highest(), fallback));
        entry.refuseUnknownKeys();
        checkSlide(entry, options, QueryOption.WINDOW_SLIDE_MS, QueryOption.WINDOW_SIZE_MS);
        checkSlide(entry, options, QueryOption.WINDOW_SLIDE_RECORDS, QueryOption.WINDOW_SIZE_RECORDS);
        return new QuerySettings(options);
    }

    /** Also limits a window's number of panes: they are as long as the slide. */
    private static void checkSlide(
            TomlTable entry, Map<QueryOption, Long> options, QueryOption slide, QueryOption size) {
        if (!options.containsKey(slide)) {
            return;
        }
        String values = "is " + options.get(slide) + " where `" + size.key() + "` = " + options.get(size);
        if (options.get(slide) > options.get(size)) {
            entry.problem(slide.key(), values + ", so that records would fall between two windows; use at most the size");
        } else if (options.get(size) % options.get(slide) != 0) {
            entry.problem(slide.key(), values + ", which is no multiple of it; use a slide that divides the size");
        }
    }

    private static Map<String, WorkSettings> work(TomlTable table, Map<String, Operator> operators) {
        Map<String, WorkSettings> work = new LinkedHashMap<>();
        for (String uid : table.keys()) {
            TomlTable entry = table.table(uid);
            WorkSettings settings =
                    new WorkSettings(
                            entry.integer("cpu_us", 0, MOST_WORK_MICROS, 0),
                            entry.integer("wait_us", 0, MOST_WORK_MICROS, 0));
            entry.refuseUnknownKeys();
            Operator operator = operators.get(uid);
            if (operator == null) {
                table.problem(uid, unknownUid(operators));
            } else if (!operator.takesWork()) {
                table.problem(uid, "is a source or a sink, which can have no artificial cost; remove the table");
            } else if (!settings.isNone()) {
                work.put(uid, settings);
            }
        }
        return Map.copyOf(work);
    }

    private static JobDocument.Source source(TomlTable table) {
        JobDocument.Source source =
                new JobDocument.Source(
                        table.integer("out_of_orderness_ms", 0, LONGEST_MS, 0),
                        table.integer("idleness_ms", 0, LONGEST_MS, 10_000),
                        table.integer("waiting_bid_horizon_ms", 0, LONGEST_MS, 60_000));
        table.refuseUnknownKeys();
        return source;
    }

    private static MetricSettings metrics(TomlTable table) {
        MetricSettings metrics =
                new MetricSettings(
                        table.flag("enabled", true), table.integer("histogram_window_ms", 100, LONGEST_MS, 10_000));
        table.refuseUnknownKeys();
        return metrics;
    }

    private static JobDocument.Checkpoint checkpoint(TomlTable table) {
        JobDocument.Checkpoint checkpoint =
                new JobDocument.Checkpoint(
                        table.integer("interval_ms", 10, LONGEST_MS, 10_000),
                        table.integer("min_pause_ms", 0, LONGEST_MS, 1_000),
                        table.integer("timeout_ms", 10, LONGEST_MS, 120_000),
                        table.flag("incremental", true),
                        (int) table.integer("cached_keys", 1, MOST_CACHED_KEYS, 16_384),
                        table.optionalText("directory"));
        table.refuseUnknownKeys();
        return checkpoint;
    }

    private static JobDocument.Kafka kafka(TomlTable table) {
        JobDocument.Kafka kafka =
                new JobDocument.Kafka(
                        table.requiredText("bootstrap_servers"),
                        table.requiredText("group_id"),
                        topicPrefix(table),
                        table.requiredText("result_topic"),
                        table.requiredText("dead_letter_topic"),
                        (int) table.integer("partition_fetch_bytes", 1024, 1 << 30, 65_536));
        table.refuseUnknownKeys();
        return kafka;
    }

    private static String topicPrefix(TomlTable table) {
        String prefix = table.text("topic_prefix", "");
        if (!TOPIC_PREFIX.matcher(prefix).matches()) {
            table.problem(
                    "topic_prefix",
                    "is \"" + prefix + "\", but must be at most 100 of the characters that a topic's name may have:"
                            + " letters, digits, '.', '_' and '-'");
        }
        return prefix;
    }

    private static JobDocument.Sink sink(TomlTable table) {
        String delivery = oneOf(table, "delivery", "exactly-once", List.of("exactly-once", "at-least-once"));
        JobDocument.Sink sink =
                new JobDocument.Sink(
                        delivery.equals("exactly-once")
                                ? JobDocument.Delivery.EXACTLY_ONCE
                                : JobDocument.Delivery.AT_LEAST_ONCE,
                        (int) table.integer("transaction_timeout_ms", 1_000, Integer.MAX_VALUE, 600_000));
        table.refuseUnknownKeys();
        return sink;
    }

    /** A transaction must outlive the wait for the checkpoint that commits it, or Kafka discards its results. */
    private static void checkTransactionTimeout(TomlTable root, JobDocument document) {
        long needed = document.checkpoint().intervalMs() + document.checkpoint().timeoutMs();
        if (document.sink().delivery() == JobDocument.Delivery.EXACTLY_ONCE
                && document.sink().transactionTimeoutMs() < needed) {
            root.problem(
                    "sink.transaction_timeout_ms",
                    "is " + document.sink().transactionTimeoutMs() + ", but a transaction stays open for up to"
                            + " `checkpoint.interval_ms` + `checkpoint.timeout_ms` = " + needed
                            + " ms; use at least that, or shorten those");
        }
    }
}
