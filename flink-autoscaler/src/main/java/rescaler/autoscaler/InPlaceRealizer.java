package rescaler.autoscaler;

import java.io.IOException;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.autoscaler.JobAutoScalerContext;
import org.apache.flink.autoscaler.realizer.ScalingRealizer;
import org.apache.flink.autoscaler.tuning.ConfigChanges;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import rescaler.autoscaler.FlinkRest.Bounds;

/**
 * Applies the autoscaler's decisions like Apache's standalone autoscaler: by {@code PUT resource-requirements}, from
 * 1 to the wanted parallelism of each vertex, and only if something differs. It does not change task managers.
 */
final class InPlaceRealizer implements ScalingRealizer<JobID, JobAutoScalerContext<JobID>> {
    private static final Logger LOG = LoggerFactory.getLogger(InPlaceRealizer.class);

    private final FlinkRest rest;

    InPlaceRealizer(FlinkRest rest) {
        this.rest = rest;
    }

    @Override
    public void realizeParallelismOverrides(JobAutoScalerContext<JobID> context, Map<String, String> overrides)
            throws IOException, InterruptedException {
        if (context.getJobStatus() != JobStatus.RUNNING) {
            return; // retried in the next round
        }
        String job = context.getJobID().toString();
        Map<String, Bounds> today = rest.requirements(job);
        Map<String, Bounds> wanted = with(today, overrides);
        if (!wanted.equals(today)) {
            rest.require(job, wanted);
            LOG.info("required of job {}: {}", job, wanted);
        }
    }

    @Override
    public void realizeConfigOverrides(JobAutoScalerContext<JobID> context, ConfigChanges changes) {
        LOG.warn("changes of task managers are not carried out: {}", changes);
    }

    /** Replaces the requirements by the wanted parallelism. */
    static Map<String, Bounds> with(Map<String, Bounds> today, Map<String, String> overrides) {
        Map<String, Bounds> wanted = new TreeMap<>(today);
        wanted.replaceAll((vertex, bounds) -> {
            String parallelism = overrides.get(vertex);
            return parallelism == null ? bounds : new Bounds(1, Integer.parseInt(parallelism));
        });
        return wanted;
    }
}
