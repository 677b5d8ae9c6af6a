package rescaler.jobs.config;

/** What a document may set in a query's table. */
public enum QueryOption {
    WINDOW_SIZE_MS("window_size_ms"),
    WINDOW_SLIDE_MS("window_slide_ms"),
    WINDOW_SIZE_RECORDS("window_size_records"),
    WINDOW_SLIDE_RECORDS("window_slide_records"),
    /** How long (event time) a key without news keeps its state, where no window ends it. */
    STATE_TTL_MS("state_ttl_ms");

    private final String key;

    QueryOption(String key) {
        this.key = key;
    }

    public String key() {
        return key;
    }
}
