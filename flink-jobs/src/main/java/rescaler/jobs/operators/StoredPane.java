package rescaler.jobs.operators;

/**
 * A pane as it is written to state.
 *
 * @param start ms since the epoch
 */
public record StoredPane<P>(long start, P pane) {}
