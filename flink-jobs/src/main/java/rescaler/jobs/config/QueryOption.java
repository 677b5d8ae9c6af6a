package rescaler.jobs.config;

/** Options in a query's table of the document. */
public enum QueryOption {
    WINDOW_SIZE_MS("window_size_ms", QueryOption.LONGEST_MS),
    WINDOW_SLIDE_MS("window_slide_ms", QueryOption.LONGEST_MS),
    WINDOW_SIZE_RECORDS("window_size_records", QueryOption.MOST_RECORDS),
    WINDOW_SLIDE_RECORDS("window_slide_records", QueryOption.MOST_RECORDS),
    /** How long (event time) an idle key keeps its state, where no window ends it. */
    STATE_TTL_MS("state_ttl_ms", QueryOption.LONGEST_MS);

    /** Longest duration in a document: ten years. Keeps sums of timestamps far from overflow. */
    static final long LONGEST_MS = 10L * 365 * 24 * 3600 * 1000;
    /** Largest count window: its values must fit into one key's state. */
    private static final long MOST_RECORDS = 1_000_000;

    private final String key;
    private final long highest;

    QueryOption(String key, long highest) {
        this.key = key;
        this.highest = highest;
    }

    public String key() {
        return key;
    }

    /** Returns the maximum value; the minimum is always 1. */
    long highest() {
        return highest;
    }
}
