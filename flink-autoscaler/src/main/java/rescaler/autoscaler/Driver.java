package rescaler.autoscaler;

import java.io.IOException;
import java.net.URI;
import java.util.Optional;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.autoscaler.JobAutoScaler;
import org.apache.flink.autoscaler.JobAutoScalerContext;
import org.apache.flink.autoscaler.JobAutoScalerImpl;
import org.apache.flink.autoscaler.RestApiMetricsCollector;
import org.apache.flink.autoscaler.ScalingExecutor;
import org.apache.flink.autoscaler.ScalingMetricEvaluator;
import org.apache.flink.autoscaler.event.AutoScalerEventHandler;
import org.apache.flink.autoscaler.event.LoggingEventHandler;
import org.apache.flink.autoscaler.state.AutoScalerStateStore;
import org.apache.flink.autoscaler.state.InMemoryAutoScalerStateStore;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;

/** Runs Apache's autoscaler for one job, composed as in its standalone program. */
final class Driver {
    private final FlinkRest rest;
    private final SharedClient client;
    private final Configuration options;
    private final String job;
    private final JobAutoScaler<JobID, JobAutoScalerContext<JobID>> autoscaler;

    Driver(URI flink, String job, Configuration options) throws Exception {
        this.rest = new FlinkRest(flink);
        this.client = new SharedClient(new Configuration(), flink);
        this.options = options;
        this.job = job;
        AutoScalerEventHandler<JobID, JobAutoScalerContext<JobID>> events = new LoggingEventHandler<>();
        AutoScalerStateStore<JobID, JobAutoScalerContext<JobID>> state = new InMemoryAutoScalerStateStore<>();
        this.autoscaler = new JobAutoScalerImpl<>(
                new RestApiMetricsCollector<>(),
                new ScalingMetricEvaluator(),
                new ScalingExecutor<>(events, state),
                events,
                new InPlaceRealizer(rest),
                state);
    }

    /** Evaluates the job once, and scales it if the library decides so. Returns whether there is a job. */
    boolean round() throws Exception {
        Optional<FlinkRest.Job> found = rest.find(job);
        if (found.isEmpty()) {
            return false;
        }
        autoscaler.scale(context(found.get()));
        return true;
    }

    /**
     * Builds the library's context: the job's configuration overridden by the options, as in the standalone program.
     */
    JobAutoScalerContext<JobID> context(FlinkRest.Job found) throws IOException, InterruptedException {
        Configuration configuration = Configuration.fromMap(rest.configuration(found.id()));
        configuration.addAll(options);
        JobID id = JobID.fromHexString(found.id());
        return new JobAutoScalerContext<>(
                id, id, JobStatus.valueOf(found.state()), configuration, new UnregisteredMetricsGroup(), () -> client);
    }
}
