package rescaler.jobs.config;

import java.io.Serializable;

/**
 * Settings of the operators' own metrics.
 *
 * @param enabled whether they are enabled
 * @param histogramWindowMs histograms describe the last one to two windows of this length, ms
 */
public record MetricSettings(boolean enabled, long histogramWindowMs) implements Serializable {}
