package rescaler.jobs.config;

/**
 * A vertex of a job's graph.
 *
 * @param uid its uid, which is also its name
 * @param kind its kind, which determines its parallelism
 */
public record Operator(String uid, Kind kind) {
    /** Kinds of operators with different document options. */
    public enum Kind {
        SOURCE,
        /** Has keyed state and any parallelism up to the maximum. */
        KEYED,
        /** One window over the whole stream: parallelism 1 by definition. */
        ALL_WINDOW,
        SINK
    }

    static Operator keyed(String uid) {
        return new Operator(uid, Kind.KEYED);
    }

    static Operator allWindow(String uid) {
        return new Operator(uid, Kind.ALL_WINDOW);
    }

    /** Returns whether the document may give it an artificial cost. */
    boolean takesWork() {
        return kind == Kind.KEYED || kind == Kind.ALL_WINDOW;
    }
}
