package rescaler.jobs.events;

/** Kinds of events, with their numbers on the wire. */
public enum Kind {
    PERSON(1),
    ITEM(2),
    AUCTION(3),
    BID(4),
    CLICK(5),
    IMPRESSION(6),
    SEARCH(7);

    private static final Kind[] BY_NUMBER = new Kind[16];

    static {
        for (Kind kind : values()) {
            BY_NUMBER[kind.number] = kind;
        }
    }

    private final int number;

    Kind(int number) {
        this.number = number;
    }

    /** Returns the lower four bits of a record's first byte. */
    public int number() {
        return number;
    }

    /** Returns the kind of that number (0 to 15), or null. */
    static Kind ofNumber(int number) {
        return BY_NUMBER[number];
    }
}
