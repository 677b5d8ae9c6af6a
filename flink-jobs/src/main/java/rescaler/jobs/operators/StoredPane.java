package rescaler.jobs.operators;

/**
 * A pane in operator state.
 *
 * @param start start of the pane, ms since the epoch
 */
public record StoredPane<P>(long start, P pane) {}
