package rescaler.jobs.config;

/**
 * One vertex of a job's graph.
 *
 * @param uid its uid, which is also its name
 * @param kind what it is, as far as its parallelism is concerned
 */
public record Operator(String uid, Kind kind) {
    /** Kinds that differ in what a document may say about them. */
    public enum Kind {
        SOURCE,
        /** Has keyed state and any parallelism up to the maximum. */
        KEYED,
        /** One window over everything: parallelism 1 by nature. */
        ALL_WINDOW,
        SINK
    }

    static Operator keyed(String uid) {
        return new Operator(uid, Kind.KEYED);
    }

    static Operator allWindow(String uid) {
        return new Operator(uid, Kind.ALL_WINDOW);
    }

    /** Whether the document may give it an artificial cost. */
    boolean takesWork() {
        return kind == Kind.KEYED || kind == Kind.ALL_WINDOW;
    }
}
