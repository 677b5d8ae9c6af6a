package rescaler.jobs.graph;

import java.time.Duration;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExternalizedCheckpointRetention;
import org.apache.flink.configuration.MetricOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import rescaler.jobs.config.JobDocument;
import rescaler.jobs.nexmark.NexmarkGraph;
import rescaler.jobs.psm.PsmGraph;

/**
 * Builds a Flink job from a job document: settings, then the graph of its queries.
 *
 * <p>All other settings (restart strategy, memory, reporters) are the cluster's.
 */
public final class Job {
    private Job() {}

    /** Builds the job in the environment, without running it. */
    public static void build(StreamExecutionEnvironment environment, JobDocument document, boolean bounded) {
        environment.configure(configuration(document));
        environment.setParallelism(document.parallelism().defaultValue());
        environment.setMaxParallelism(document.parallelism().max());
        GraphBuilder graph = new GraphBuilder(environment, document, bounded);
        switch (document.benchmark()) {
            case NEXMARK -> new NexmarkGraph(graph).build();
            case PSM -> new PsmGraph(graph).build();
        }
        graph.writeDeadLetters();
    }

    private static Configuration configuration(JobDocument document) {
        JobDocument.Checkpoint checkpoint = document.checkpoint();
        Configuration configuration = new Configuration();
        configuration.set(PipelineOptions.NAME, document.job());
        // Every record type has its own serializer; a type that Flink would pass to Kryo is an error.
        configuration.set(PipelineOptions.GENERIC_TYPES, false);
        // Records are immutable, so chained operators may share them.
        configuration.set(PipelineOptions.OBJECT_REUSE, true);
        // CachedState relies on a backend that stores bytes.
        configuration.set(StateBackendOptions.STATE_BACKEND, "rocksdb");
        configuration.set(CheckpointingOptions.INCREMENTAL_CHECKPOINTS, checkpoint.incremental());
        configuration.set(CheckpointingOptions.CHECKPOINTING_CONSISTENCY_MODE, CheckpointingMode.EXACTLY_ONCE);
        configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(checkpoint.intervalMs()));
        configuration.set(
                CheckpointingOptions.MIN_PAUSE_BETWEEN_CHECKPOINTS, Duration.ofMillis(checkpoint.minPauseMs()));
        configuration.set(CheckpointingOptions.CHECKPOINTING_TIMEOUT, Duration.ofMillis(checkpoint.timeoutMs()));
        configuration.set(
                CheckpointingOptions.EXTERNALIZED_CHECKPOINT_RETENTION,
                ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION);
        checkpoint.directory()
                .ifPresent(uri -> configuration.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, uri));
        configuration.set(MetricOptions.LATENCY_INTERVAL, Duration.ZERO);
        return configuration;
    }
}
