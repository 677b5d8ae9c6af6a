package rescaler.jobs.events;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * From bytes to event: strict, and never reading what is not there.
 *
 * <p>A record is one byte (format version in the upper four bits, kind in the lower four), then the fields in their
 * order: integers as 8 bytes little-endian, strings as a 4-byte little-endian length and UTF-8. The first problem is the
 * one reported, at the same offset as by the Rust decoder. One decoder serves one thread; it is reused because it
 * holds nothing but a position. It leaves out encoding: the jobs only read events.
 */
public final class EventDecoder {
    /** The version of the format this decoder reads. */
    public static final int FORMAT_VERSION = 1;

    private static final VarHandle LONGS =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle INTS = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
    private static final byte[] NOTHING = new byte[0];

    private byte[] bytes = NOTHING;
    private int offset;

    /**
     * Reads one record, which must be exactly one event.
     *
     * @param record the record's value; null counts as empty
     * @param ingestionTime what the event shall carry as its ingestion time, ms since the epoch
     */
    public Event decode(byte[] record, long ingestionTime) throws MalformedEventException {
        Kind kind = kindOf(record);
        bytes = record;
        offset = 1;
        Event event =
                switch (kind) {
                    case PERSON -> person(ingestionTime);
                    case ITEM -> item(ingestionTime);
                    case AUCTION -> auction(ingestionTime);
                    case BID -> bid(ingestionTime);
                    case CLICK -> click(ingestionTime);
                    case IMPRESSION -> impression(ingestionTime);
                    case SEARCH -> search(ingestionTime);
                };
        if (offset != bytes.length) {
            throw MalformedEventException.trailingBytes(offset, bytes.length - offset);
        }
        return event;
    }

    /** The kind that a record's first byte names. */
    public static Kind kindOf(byte[] record) throws MalformedEventException {
        if (record == null || record.length == 0) {
            throw MalformedEventException.empty();
        }
        int version = (record[0] & 0xff) >> 4;
        if (version != FORMAT_VERSION) {
            throw MalformedEventException.unknownVersion(version);
        }
        int number = record[0] & 0x0f;
        Kind kind = Kind.ofNumber(number);
        if (kind == null) {
            throw MalformedEventException.unknownKind(number);
        }
        return kind;
    }

    private Person person(long ingestionTime) throws MalformedEventException {
        return new Person(
                integer("timestamp"),
                integer("person_id"),
                string("name"),
                string("email"),
                string("credit_card"),
                string("city"),
                string("state"),
                ingestionTime);
    }

    private Item item(long ingestionTime) throws MalformedEventException {
        return new Item(
                integer("timestamp"),
                integer("item_id"),
                integer("category_id"),
                string("name"),
                string("description"),
                ingestionTime);
    }

    private Auction auction(long ingestionTime) throws MalformedEventException {
        return new Auction(
                integer("timestamp"),
                integer("auction_id"),
                integer("item_id"),
                integer("seller_id"),
                integer("initial_price"),
                integer("reserve"),
                integer("start"),
                integer("end"),
                ingestionTime);
    }

    private Bid bid(long ingestionTime) throws MalformedEventException {
        return new Bid(
                integer("timestamp"),
                integer("bid_id"),
                integer("auction_id"),
                integer("bidder_id"),
                integer("price"),
                ingestionTime);
    }

    private Click click(long ingestionTime) throws MalformedEventException {
        return new Click(
                integer("timestamp"),
                integer("product"),
                integer("category"),
                integer("owner"),
                integer("price"),
                ingestionTime);
    }

    private Impression impression(long ingestionTime) throws MalformedEventException {
        return new Impression(integer("timestamp"), integer("product"), integer("category"), ingestionTime);
    }

    private Search search(long ingestionTime) throws MalformedEventException {
        return new Search(
                integer("timestamp"), integer("product"), integer("category"), integer("rank"), ingestionTime);
    }

    private long integer(String field) throws MalformedEventException {
        int at = offset;
        if (bytes.length - at < Long.BYTES) {
            throw MalformedEventException.truncated(field, at, Long.BYTES, bytes.length - at);
        }
        offset = at + Long.BYTES;
        return (long) LONGS.get(bytes, at);
    }

    private String string(String field) throws MalformedEventException {
        int present = bytes.length - offset;
        if (present < Integer.BYTES) {
            throw MalformedEventException.truncated(field, offset, Integer.BYTES, present);
        }
        long length = Integer.toUnsignedLong((int) INTS.get(bytes, offset));
        if (length > present - Integer.BYTES) {
            throw MalformedEventException.truncated(field, offset, Integer.BYTES + length, present);
        }
        int from = offset + Integer.BYTES;
        int to = from + (int) length;
        int bad = Utf8.firstBad(bytes, from, to);
        if (bad < to) {
            throw MalformedEventException.badUtf8(field, bad);
        }
        offset = to;
        return new String(bytes, from, to - from, StandardCharsets.UTF_8);
    }
}
