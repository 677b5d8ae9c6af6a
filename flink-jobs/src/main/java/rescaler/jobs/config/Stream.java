package rescaler.jobs.config;

import rescaler.jobs.events.Kind;

/** The event streams: a Kafka topic and a source each. */
public enum Stream {
    PERSON("person", Kind.PERSON, "personEvents"),
    ITEM("item", Kind.ITEM, "itemEvents"),
    AUCTION("auction", Kind.AUCTION, "auctionEvents"),
    BID("bid", Kind.BID, "bidEvents"),
    CLICK("click", Kind.CLICK, "PSM_CLICKS"),
    IMPRESSION("impression", Kind.IMPRESSION, "PSM_IMPRESSIONS"),
    SEARCH("search", Kind.SEARCH, "PSM_SEARCH");

    private final String label;
    private final Kind kind;
    private final String topic;

    Stream(String label, Kind kind, String topic) {
        this.label = label;
        this.kind = kind;
        this.topic = topic;
    }

    public Kind kind() {
        return kind;
    }

    /** Returns the topic's name without the document's `kafka.topic_prefix`. */
    public String topic() {
        return topic;
    }

    /** Returns the source's uid. */
    public String uid() {
        return "source-" + label;
    }
}
