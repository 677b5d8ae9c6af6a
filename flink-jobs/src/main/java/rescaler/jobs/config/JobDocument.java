package rescaler.jobs.config;

import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * A checked job document: everything present, within its range and consistent.
 *
 * @param job the job's name
 * @param generation only ever grows
 * @param issuedAt when the document was made
 * @param expiresAt after this moment nobody may start to apply it; for the config agent, the job runs on
 * @param reason why this generation exists
 * @param queries the queries that are switched on
 * @param work artificial costs by uid, only where there are any
 */
public record JobDocument(
        String job,
        long generation,
        Instant issuedAt,
        Optional<Instant> expiresAt,
        String reason,
        Benchmark benchmark,
        Parallelism parallelism,
        Map<Query, QuerySettings> queries,
        Map<String, WorkSettings> work,
        Source source,
        MetricSettings metrics,
        Checkpoint checkpoint,
        Kafka kafka,
        Sink sink) {

    /** Metrics and artificial cost of one operator. */
    public OperatorSettings operatorSettings(String uid) {
        return new OperatorSettings(metrics, work.getOrDefault(uid, WorkSettings.NONE), checkpoint.cachedKeys());
    }

    /**
     * How wide the job runs.
     *
     * @param defaultValue of every operator without an entry
     * @param max number of key groups
     * @param operators by uid; never 0
     */
    public record Parallelism(int defaultValue, int max, Map<String, Integer> operators) {
        public int of(String uid) {
            return operators.getOrDefault(uid, defaultValue);
        }
    }

    /**
     * @param outOfOrdernessMs how far behind its partition's newest timestamp an event may come
     * @param idlenessMs a partition silent for this long no longer holds back time; 0: never idle
     * @param waitingBidHorizonMs how long (event time) a bid waits for its auction
     */
    public record Source(long outOfOrdernessMs, long idlenessMs, long waitingBidHorizonMs) {}

    /**
     * @param cachedKeys number of keys whose values each subtask of a keyed operator keeps as objects between checkpoints
     * @param directory a URI; absent: the cluster's own setting
     */
    public record Checkpoint(
            long intervalMs,
            long minPauseMs,
            long timeoutMs,
            boolean incremental,
            int cachedKeys,
            Optional<String> directory) {}

    /** @param topicPrefix stands before the name of each stream's topic; empty: the names as they are */
    public record Kafka(
            String bootstrapServers,
            String groupId,
            String topicPrefix,
            String resultTopic,
            String deadLetterTopic,
            int partitionFetchBytes) {
        /** The topic that a stream is read from. */
        public String topicOf(Stream stream) {
            return topicPrefix + stream.topic();
        }
    }

    /** @param transactionTimeoutMs at most the broker's transaction.max.timeout.ms */
    public record Sink(Delivery delivery, int transactionTimeoutMs) {}

    /** What the results topic promises. */
    public enum Delivery {
        /** Results become visible (to readers of committed records) at each checkpoint, each exactly once. */
        EXACTLY_ONCE,
        /** Results become visible at once; after a failure some come twice. */
        AT_LEAST_ONCE
    }
}
