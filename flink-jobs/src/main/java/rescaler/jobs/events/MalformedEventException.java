package rescaler.jobs.events;

/**
 * Describes why bytes are not an event, with the offset. Without a stack trace, because a bad producer can cause
 * many.
 */
public final class MalformedEventException extends Exception {
    private static final long serialVersionUID = 1L;

    /** Kinds of problems; the names are the same in Rust, Java and the test data. */
    public enum Problem {
        EMPTY("empty"),
        UNKNOWN_VERSION("unknown-version"),
        UNKNOWN_KIND("unknown-kind"),
        TRUNCATED("truncated"),
        BAD_UTF8("bad-utf8"),
        TRAILING_BYTES("trailing-bytes"),
        /** A valid event in a topic of other events; never reported by the codec itself. */
        WRONG_TOPIC("wrong-topic");

        private final String label;

        Problem(String label) {
            this.label = label;
        }

        public String label() {
            return label;
        }
    }

    private final Problem problem;
    private final int offset;

    private MalformedEventException(Problem problem, int offset, String message) {
        super(message, null, false, false);
        this.problem = problem;
        this.offset = offset;
    }

    public Problem problem() {
        return problem;
    }

    /** Returns the offset of the problem, in bytes from the start of the record. */
    public int offset() {
        return offset;
    }

    static MalformedEventException empty() {
        return new MalformedEventException(Problem.EMPTY, 0, "an empty record");
    }

    static MalformedEventException unknownVersion(int version) {
        String message = "format version " + version + ", only version " + EventDecoder.FORMAT_VERSION
                + " is known (offset 0)";
        return new MalformedEventException(Problem.UNKNOWN_VERSION, 0, message);
    }

    static MalformedEventException unknownKind(int number) {
        String message = "event kind " + number + ", which does not exist (offset 0)";
        return new MalformedEventException(Problem.UNKNOWN_KIND, 0, message);
    }

    /** {@code offset}: start of the field; a string's length belongs to the field. */
    static MalformedEventException truncated(String field, int offset, long needed, int present) {
        String message = "field " + field + " at offset " + offset + " needs " + needed + " bytes, " + present
                + " are left";
        return new MalformedEventException(Problem.TRUNCATED, offset, message);
    }

    /** {@code offset}: start of the first invalid sequence. */
    static MalformedEventException badUtf8(String field, int offset) {
        String message = "field " + field + " is not UTF-8 from offset " + offset + " on";
        return new MalformedEventException(Problem.BAD_UTF8, offset, message);
    }

    static MalformedEventException trailingBytes(int offset, int count) {
        String message = count + " bytes too many from offset " + offset + " on";
        return new MalformedEventException(Problem.TRAILING_BYTES, offset, message);
    }

    /** For a valid event in a topic of another kind. */
    public static MalformedEventException wrongTopic(Kind expected, Kind found) {
        String message = "an event of kind " + found.number() + " where kind " + expected.number() + " is expected";
        return new MalformedEventException(Problem.WRONG_TOPIC, 0, message);
    }
}
