package rescaler.autoscaler;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.autoscaler.DelayedScaleDown;
import org.apache.flink.autoscaler.JobAutoScalerContext;
import org.apache.flink.autoscaler.JobVertexScaler;
import org.apache.flink.autoscaler.ScalingMetricEvaluator;
import org.apache.flink.autoscaler.event.LoggingEventHandler;
import org.apache.flink.autoscaler.metrics.CollectedMetricHistory;
import org.apache.flink.autoscaler.metrics.CollectedMetrics;
import org.apache.flink.autoscaler.metrics.ScalingMetric;
import org.apache.flink.autoscaler.topology.JobTopology;
import org.apache.flink.autoscaler.topology.ShipStrategy;
import org.apache.flink.autoscaler.topology.VertexInfo;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.runtime.jobgraph.JobVertexID;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.junit.jupiter.api.Test;

/**
 * Goal: for the same metrics windows Apache's library wants the same parallelism as the simulator's
 * re-implementation, in 95 of 100 cases. The windows are recorded by the simulator ({@code
 * crates/sim/tests/it/flip_windows.rs}).
 *
 * <p>The alignment of a parallelism with key groups and partitions differs by version: 1.10.0 uses divisors only,
 * even where nothing else would change; later versions keep an unchanged parallelism, and have a mode
 * (MAXIMIZE_UTILISATION) that uses the next one with fewer key groups for the fullest subtask. The simulator
 * implements that mode. So the library's targets are taken without alignment and aligned by that rule; the agreement
 * with the library's own alignment is printed.
 */
class RecordedWindowsTest {
    private static final Path WINDOWS = Path.of("../testdata/flip-windows.jsonl");
    private static final double AGREEMENT_MIN = 0.95;
    private static final ObjectMapper JSON = new ObjectMapper();

    @Test
    void theSimulatorWantsWhatTheLibraryWants() throws IOException {
        int windows = 0;
        int operators = 0;
        int alignedAlike = 0;
        List<String> different = new ArrayList<>();
        for (String line : Files.readAllLines(WINDOWS)) {
            JsonNode window = JSON.readTree(line);
            windows++;
            List<Integer> aligned = wanted(window, true);
            List<Integer> plain = wanted(window, false);
            for (int index = 0; index < plain.size(); index++) {
                operators++;
                JsonNode operator = window.path("operators").get(index);
                int simulated = operator.path("wanted").asInt();
                alignedAlike += simulated == aligned.get(index) ? 1 : 0;
                int library = later(operator, plain.get(index));
                if (simulated != library) {
                    different.add(String.format(
                            "window %d (%s), %s at %d of %d: simulator %d, library %d",
                            windows,
                            window.path("scenario").asText(),
                            operator.path("name").asText(),
                            operator.path("parallelism").asInt(),
                            operator.path("portions").asInt(),
                            simulated,
                            library));
                }
            }
        }
        double agreement = 1 - different.size() / (double) operators;
        System.out.printf(
                "%d windows, %d targets: %.1f %% agree, as version 1.10.0 aligns them %.1f %%%n",
                windows, operators, 100 * agreement, 100.0 * alignedAlike / operators);
        different.forEach(System.out::println);
        assertTrue(windows >= 200, () -> "too few windows");
        assertTrue(agreement >= AGREEMENT_MIN, () -> String.join("\n", different));
    }

    /** Aligns a target with key groups or partitions as the mode MAXIMIZE_UTILISATION of later versions does. */
    private static int later(JsonNode operator, int target) {
        int portions = operator.path("portions").asInt();
        int today = operator.path("parallelism").asInt();
        if (portions == 0 || target == today) {
            return target;
        }
        int end = target < today ? Math.min(portions, today) : portions;
        for (int p = target; p <= end; p++) {
            if (portions % p == 0 || portions / p < portions / target) {
                return p;
            }
        }
        return target;
    }

    /** Returns the library's targets for each operator of a window, aligned with key groups and partitions or not. */
    private static List<Integer> wanted(JsonNode window, boolean aligns) {
        Configuration configuration = configuration(window);
        List<JobVertexID> ids = new ArrayList<>();
        window.path("operators").forEach(operator -> ids.add(new JobVertexID()));
        JobTopology topology = topology(window, ids, aligns);
        CollectedMetricHistory history =
                new CollectedMetricHistory(topology, history(window, ids), Instant.EPOCH);
        history.setFullyCollected(true);
        Duration restart = Duration.ofMillis(Math.round(1000 * window.path("restart_s").asDouble()));
        var evaluated = new ScalingMetricEvaluator().evaluate(configuration, history, restart).getVertexMetrics();
        JobID job = new JobID();
        var scaler = new JobVertexScaler<JobID, JobAutoScalerContext<JobID>>(new LoggingEventHandler<>());
        List<Integer> wanted = new ArrayList<>();
        for (JobVertexID id : ids) {
            int most = window.path("operators").get(wanted.size()).path("most").asInt();
            Configuration limited = new Configuration(configuration);
            limited.setString("job.autoscaler.vertex.max-parallelism", String.valueOf(most));
            var context = new JobAutoScalerContext<>(
                    job, job, JobStatus.RUNNING, limited, new UnregisteredMetricsGroup(), () -> null);
            int parallelism = topology.get(id).getParallelism();
            var change = scaler.computeScaleTargetParallelism(
                    context,
                    id,
                    topology.get(id).getInputs().values(),
                    evaluated.get(id),
                    new TreeMap<>(),
                    restart,
                    new DelayedScaleDown());
            wanted.add(change.getNewParallelism() < 0 ? parallelism : change.getNewParallelism());
        }
        return wanted;
    }

    private static Configuration configuration(JsonNode window) {
        return Configuration.fromMap(Map.of(
                "job.autoscaler.target.utilization", window.path("utilisation").asText(),
                "job.autoscaler.catch-up.duration", window.path("catch_up_s").asInt() + " s"));
    }

    private static JobTopology topology(JsonNode window, List<JobVertexID> ids, boolean aligns) {
        VertexInfo[] vertices = new VertexInfo[ids.size()];
        for (int index = 0; index < vertices.length; index++) {
            JsonNode operator = window.path("operators").get(index);
            boolean isSource = operator.path("inputs").isEmpty();
            boolean isKeyed = aligns && !isSource && operator.path("portions").asInt() > 0;
            Map<JobVertexID, ShipStrategy> inputs = new HashMap<>();
            operator.path("inputs")
                    .forEach(input ->
                            inputs.put(ids.get(input.asInt()), isKeyed ? ShipStrategy.HASH : ShipStrategy.REBALANCE));
            int most = isKeyed ? operator.path("portions").asInt() : operator.path("most").asInt();
            vertices[index] =
                    new VertexInfo(ids.get(index), inputs, operator.path("parallelism").asInt(), most, null);
            if (isSource && aligns) {
                vertices[index].setNumSourcePartitions(operator.path("portions").asInt());
            }
        }
        return new JobTopology(vertices);
    }

    private static TreeMap<Instant, CollectedMetrics> history(JsonNode window, List<JobVertexID> ids) {
        TreeMap<Instant, CollectedMetrics> history = new TreeMap<>();
        for (int sample = 0; sample < window.path("at_s").size(); sample++) {
            Map<JobVertexID, Map<ScalingMetric, Double>> vertices = new HashMap<>();
            for (int index = 0; index < ids.size(); index++) {
                JsonNode operator = window.path("operators").get(index);
                JsonNode readings = operator.path("samples").get(sample);
                Map<ScalingMetric, Double> metrics = new HashMap<>();
                metrics.put(ScalingMetric.LOAD, readings.get(0).asDouble());
                metrics.put(ScalingMetric.NUM_RECORDS_IN, readings.get(1).asDouble());
                metrics.put(ScalingMetric.NUM_RECORDS_OUT, readings.get(2).asDouble());
                if (operator.path("inputs").isEmpty()) {
                    metrics.put(ScalingMetric.LAG, readings.get(3).asDouble());
                    if (readings.get(4).isNumber()) {
                        metrics.put(ScalingMetric.OBSERVED_TPR, readings.get(4).asDouble());
                    }
                }
                vertices.put(ids.get(index), metrics);
            }
            Instant at = Instant.ofEpochSecond(window.path("at_s").get(sample).asLong());
            history.put(at, new CollectedMetrics(vertices, Map.of()));
        }
        return history;
    }
}
