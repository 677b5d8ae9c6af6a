package rescaler.jobs.events;

/** An event of either benchmark, with the time at which the source decoded it. */
public sealed interface Event permits Person, Item, Auction, Bid, Click, Impression, Search {
    /** Returns the intended time of the event, ms since the epoch; also the timestamp of its Kafka record. */
    long timestamp();

    /** Returns when the source decoded the event, ms since the epoch. Not on the wire. */
    long ingestionTime();
}
