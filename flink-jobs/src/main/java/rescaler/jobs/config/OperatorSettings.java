package rescaler.jobs.config;

import java.io.Serializable;

/** What every query operator is told, whatever it computes. */
public record OperatorSettings(MetricSettings metrics, WorkSettings work) implements Serializable {
    /** Neither metrics nor artificial cost. */
    public static final OperatorSettings PLAIN =
            new OperatorSettings(new MetricSettings(false, 10_000), WorkSettings.NONE);
}
