package rescaler.jobs.events;

/** One event of either benchmark, with the moment at which the source decoded it. */
public sealed interface Event permits Person, Item, Auction, Bid, Click, Impression, Search {
    /** Intended time of the event, ms since the epoch; also the timestamp of its Kafka record. */
    long timestamp();

    /** When the source decoded the event, ms since the epoch. Not on the wire. */
    long ingestionTime();
}
