package rescaler.jobs.config;

import java.io.Serializable;

/**
 * The operators' own metrics.
 *
 * @param enabled whether there are any
 * @param histogramWindowMs histograms describe the last one to two windows of this length, ms
 */
public record MetricSettings(boolean enabled, long histogramWindowMs) implements Serializable {}
