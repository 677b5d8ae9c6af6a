package rescaler.jobs.tools;

import rescaler.jobs.events.Auction;
import rescaler.jobs.events.Bid;
import rescaler.jobs.events.Click;
import rescaler.jobs.events.Event;
import rescaler.jobs.events.Impression;
import rescaler.jobs.events.Item;
import rescaler.jobs.events.Person;
import rescaler.jobs.events.Search;

/**
 * Formats events as JSON, exactly like the event producer: the kind, then the fields in the order of the wire,
 * without spaces; only quotes, backslashes and control characters are escaped.
 *
 * <p>The ingestion time is not on the wire and therefore omitted.
 */
final class EventJson {
    private static final String HEX = "0123456789abcdef";

    private final StringBuilder text;

    private EventJson(StringBuilder text) {
        this.text = text;
    }

    /** Appends the event as one object, without a line end. */
    static void append(Event event, StringBuilder text) {
        EventJson json = new EventJson(text);
        if (event instanceof Person person) {
            json.person(person);
        } else if (event instanceof Item item) {
            json.item(item);
        } else if (event instanceof Auction auction) {
            json.auction(auction);
        } else if (event instanceof Bid bid) {
            json.bid(bid);
        } else if (event instanceof Click click) {
            json.click(click);
        } else if (event instanceof Impression impression) {
            json.impression(impression);
        } else {
            json.search((Search) event);
        }
        text.append('}');
    }

    private void person(Person event) {
        begin("person", event).with("person_id", event.personId())
                .with("name", event.name())
                .with("email", event.email())
                .with("credit_card", event.creditCard())
                .with("city", event.city())
                .with("state", event.state());
    }

    private void item(Item event) {
        begin("item", event).with("item_id", event.itemId())
                .with("category_id", event.categoryId())
                .with("name", event.name())
                .with("description", event.description());
    }

    private void auction(Auction event) {
        begin("auction", event).with("auction_id", event.auctionId())
                .with("item_id", event.itemId())
                .with("seller_id", event.sellerId())
                .with("initial_price", event.initialPrice())
                .with("reserve", event.reserve())
                .with("start", event.start())
                .with("end", event.end());
    }

    private void bid(Bid event) {
        begin("bid", event).with("bid_id", event.bidId())
                .with("auction_id", event.auctionId())
                .with("bidder_id", event.bidderId())
                .with("price", event.price());
    }

    private void click(Click event) {
        begin("click", event).with("product", event.product())
                .with("category", event.category())
                .with("owner", event.owner())
                .with("price", event.price());
    }

    private void impression(Impression event) {
        begin("impression", event).with("product", event.product()).with("category", event.category());
    }

    private void search(Search event) {
        begin("search", event).with("product", event.product())
                .with("category", event.category())
                .with("rank", event.rank());
    }

    private EventJson begin(String kind, Event event) {
        text.append("{\"kind\":\"").append(kind).append('"');
        return with("timestamp", event.timestamp());
    }

    private EventJson with(String field, long value) {
        text.append(",\"").append(field).append("\":").append(value);
        return this;
    }

    private EventJson with(String field, String value) {
        text.append(",\"").append(field).append("\":\"");
        for (int index = 0; index < value.length(); index++) {
            escaped(value.charAt(index));
        }
        text.append('"');
        return this;
    }

    private void escaped(char character) {
        switch (character) {
            case '"', '\\' -> text.append('\\').append(character);
            case '\b' -> text.append("\\b");
            case '\t' -> text.append("\\t");
            case '\n' -> text.append("\\n");
            case '\f' -> text.append("\\f");
            case '\r' -> text.append("\\r");
            default -> {
                if (character < 0x20) {
                    text.append("\\u00").append(HEX.charAt(character >> 4)).append(HEX.charAt(character & 0xf));
                } else {
                    text.append(character);
                }
            }
        }
    }
}
