package rescaler.jobs.operators;

/**
 * Content of a fired window.
 *
 * @param records number of records
 * @param newestIngestionTime newest ingestion time among them, ms since the epoch
 */
public record Fired(long records, long newestIngestionTime) {}
