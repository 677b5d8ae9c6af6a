package rescaler.jobs.operators;

/**
 * What a fired window held.
 *
 * @param records number of records
 * @param newestIngestionTime the newest among them, ms since the epoch
 */
public record Fired(long records, long newestIngestionTime) {}
