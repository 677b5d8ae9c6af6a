package rescaler.jobs.config;

import java.io.Serializable;

/**
 * Settings of every query operator.
 *
 * @param cachedKeys number of keys whose values each subtask caches as objects
 */
public record OperatorSettings(MetricSettings metrics, WorkSettings work, int cachedKeys) implements Serializable {
    /** Neither metrics nor artificial cost. */
    public static final OperatorSettings PLAIN =
            new OperatorSettings(new MetricSettings(false, 10_000), WorkSettings.NONE, 1_000);
}
