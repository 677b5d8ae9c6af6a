package rescaler.jobs.config;

import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * A validated job document: complete, within all ranges and consistent.
 *
 * @param job the job's name
 * @param generation only ever grows
 * @param issuedAt time of issue
 * @param expiresAt time after which no agent may start to apply it; the job itself continues
 * @param reason reason of this generation
 * @param queries the enabled queries
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

    /** Returns metrics settings and artificial cost of one operator. */
    public OperatorSettings operatorSettings(String uid) {
        return new OperatorSettings(metrics, work.getOrDefault(uid, WorkSettings.NONE), checkpoint.cachedKeys());
    }

    /**
     * Parallelism of the job.
     *
     * @param defaultValue parallelism of every operator without an entry
     * @param max number of key groups
     * @param operators parallelism by uid; never 0
     */
    public record Parallelism(int defaultValue, int max, Map<String, Integer> operators) {
        public int of(String uid) {
            return operators.getOrDefault(uid, defaultValue);
        }
    }

    /**
     * @param outOfOrdernessMs how far behind its partition's newest timestamp an event may be
     * @param idlenessMs time after which a silent partition no longer holds back the watermark; 0: never idle
     * @param waitingBidHorizonMs how long (event time) a bid waits for its auction
     */
    public record Source(long outOfOrdernessMs, long idlenessMs, long waitingBidHorizonMs) {}

    /**
     * @param cachedKeys number of keys whose values each subtask of a keyed operator caches as objects between
     * checkpoints
     * @param directory a URI; absent: the cluster's own setting
     */
    public record Checkpoint(
            long intervalMs,
            long minPauseMs,
            long timeoutMs,
            boolean incremental,
            int cachedKeys,
            Optional<String> directory) {}

    /** @param topicPrefix prefix of each stream's topic; may be empty */
    public record Kafka(
            String bootstrapServers,
            String groupId,
            String topicPrefix,
            String resultTopic,
            String deadLetterTopic,
            int partitionFetchBytes) {
        /** Returns the topic of a stream. */
        public String topicOf(Stream stream) {
            return topicPrefix + stream.topic();
        }
    }

    /** @param transactionTimeoutMs at most the broker's transaction.max.timeout.ms */
    public record Sink(Delivery delivery, int transactionTimeoutMs) {}

    /** Delivery guarantee of the results topic. */
    public enum Delivery {
        /** Results become visible (to consumers of committed records) at each checkpoint, each exactly once. */
        EXACTLY_ONCE,
        /** Results become visible immediately; after a failure some are duplicated. */
        AT_LEAST_ONCE
    }
}
