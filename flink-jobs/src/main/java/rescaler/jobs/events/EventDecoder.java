package rescaler.jobs.events;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Decodes bytes to an event: strict, and without reading beyond the record.
 *
 * <p>A record is one byte (format version in the upper four bits, kind in the lower four), then the fields in their
 * order: integers as 8 bytes little-endian, strings as a 4-byte little-endian length and UTF-8. The first problem is
 * the one reported, at the same offset as by the Rust decoder. A decoder is for one thread; it is reusable because
 * it holds only a position. There is no encoder: the jobs only read events.
 */
public final class EventDecoder {
    /** The format version that this decoder supports. */
    public static final int FORMAT_VERSION = 1;

    private static final VarHandle LONGS =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle INTS = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
    private static final byte[] NOTHING = new byte[0];

    /** The upper four bits of every record's first byte. */
    private static final int HEADER = FORMAT_VERSION << 4;
    private static final int INTEGERS_BEGIN = 1;
    // Integer fields of each kind, which precede its strings.
    private static final String[] PERSON = {"timestamp", "person_id"};
    private static final String[] ITEM = {"timestamp", "item_id", "category_id"};
    private static final String[] AUCTION = {
        "timestamp", "auction_id", "item_id", "seller_id", "initial_price", "reserve", "start", "end"
    };
    private static final String[] BID = {"timestamp", "bid_id", "auction_id", "bidder_id", "price"};
    private static final String[] CLICK = {"timestamp", "product", "category", "owner", "price"};
    private static final String[] IMPRESSION = {"timestamp", "product", "category"};
    private static final String[] SEARCH = {"timestamp", "product", "category", "rank"};

    private byte[] bytes = NOTHING;
    private int offset;

    /**
     * Decodes one record, which must be exactly one event.
     *
     * @param record the record's value; null counts as empty
     * @param ingestionTime the event's ingestion time, ms since the epoch
     */
    public Event decode(byte[] record, long ingestionTime) throws MalformedEventException {
        if (record == null || record.length == 0) {
            throw MalformedEventException.empty();
        }
        // The numbers are those of Kind. A switch over the byte is one jump; over an enum it takes two more look-ups.
        return switch (record[0]) {
            case HEADER | 1 -> person(record, ingestionTime);
            case HEADER | 2 -> item(record, ingestionTime);
            case HEADER | 3 -> auction(record, ingestionTime);
            case HEADER | 4 -> bid(record, ingestionTime);
            case HEADER | 5 -> click(record, ingestionTime);
            case HEADER | 6 -> impression(record, ingestionTime);
            case HEADER | 7 -> search(record, ingestionTime);
            default -> throw unknown(record);
        };
    }

    /** Returns the kind in a record's first byte. */
    public static Kind kindOf(byte[] record) throws MalformedEventException {
        if (record == null || record.length == 0) {
            throw MalformedEventException.empty();
        }
        int version = (record[0] & 0xff) >> 4;
        Kind kind = Kind.ofNumber(record[0] & 0x0f);
        if (version != FORMAT_VERSION || kind == null) {
            throw unknown(record);
        }
        return kind;
    }

    /** Describes the problem of a first byte that is not an event's. */
    private static MalformedEventException unknown(byte[] record) {
        int version = (record[0] & 0xff) >> 4;
        return version == FORMAT_VERSION
                ? MalformedEventException.unknownKind(record[0] & 0x0f)
                : MalformedEventException.unknownVersion(version);
    }

    private Person person(byte[] record, long ingestionTime) throws MalformedEventException {
        beginStrings(record, PERSON);
        Person event = new Person(
                integer(record, 0),
                integer(record, 1),
                string("name"),
                string("email"),
                string("credit_card"),
                string("city"),
                string("state"),
                ingestionTime);
        checkEnd(record, offset);
        return event;
    }

    private Item item(byte[] record, long ingestionTime) throws MalformedEventException {
        beginStrings(record, ITEM);
        Item event = new Item(
                integer(record, 0),
                integer(record, 1),
                integer(record, 2),
                string("name"),
                string("description"),
                ingestionTime);
        checkEnd(record, offset);
        return event;
    }

    private static Auction auction(byte[] record, long ingestionTime) throws MalformedEventException {
        checkEnd(record, checkIntegers(record, AUCTION));
        return new Auction(
                integer(record, 0),
                integer(record, 1),
                integer(record, 2),
                integer(record, 3),
                integer(record, 4),
                integer(record, 5),
                integer(record, 6),
                integer(record, 7),
                ingestionTime);
    }

    private static Bid bid(byte[] record, long ingestionTime) throws MalformedEventException {
        checkEnd(record, checkIntegers(record, BID));
        return new Bid(
                integer(record, 0),
                integer(record, 1),
                integer(record, 2),
                integer(record, 3),
                integer(record, 4),
                ingestionTime);
    }

    private static Click click(byte[] record, long ingestionTime) throws MalformedEventException {
        checkEnd(record, checkIntegers(record, CLICK));
        return new Click(
                integer(record, 0),
                integer(record, 1),
                integer(record, 2),
                integer(record, 3),
                integer(record, 4),
                ingestionTime);
    }

    private static Impression impression(byte[] record, long ingestionTime) throws MalformedEventException {
        checkEnd(record, checkIntegers(record, IMPRESSION));
        return new Impression(integer(record, 0), integer(record, 1), integer(record, 2), ingestionTime);
    }

    private static Search search(byte[] record, long ingestionTime) throws MalformedEventException {
        checkEnd(record, checkIntegers(record, SEARCH));
        return new Search(
                integer(record, 0), integer(record, 1), integer(record, 2), integer(record, 3), ingestionTime);
    }

    /** Checks all integers of a record at once, before reading any; returns their end. */
    private static int checkIntegers(byte[] record, String[] fields) throws MalformedEventException {
        int end = INTEGERS_BEGIN + fields.length * Long.BYTES;
        if (record.length < end) {
            int missing = (record.length - INTEGERS_BEGIN) / Long.BYTES;
            int at = INTEGERS_BEGIN + missing * Long.BYTES;
            throw MalformedEventException.truncated(fields[missing], at, Long.BYTES, record.length - at);
        }
        return end;
    }

    private static void checkEnd(byte[] record, int end) throws MalformedEventException {
        if (record.length != end) {
            throw MalformedEventException.trailingBytes(end, record.length - end);
        }
    }

    private static long integer(byte[] record, int index) {
        return (long) LONGS.get(record, INTEGERS_BEGIN + index * Long.BYTES);
    }

    /** Checks the integers and starts reading after them. */
    private void beginStrings(byte[] record, String[] integers) throws MalformedEventException {
        offset = checkIntegers(record, integers);
        bytes = record;
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
        offset = to;
        if (Utf8.isAscii(bytes, from, to)) {
            // Copied unchanged; decoding as UTF-8 would scan for other characters again.
            return new String(bytes, from, to - from, StandardCharsets.ISO_8859_1);
        }
        int bad = Utf8.firstBad(bytes, from, to);
        if (bad < to) {
            throw MalformedEventException.badUtf8(field, bad);
        }
        return new String(bytes, from, to - from, StandardCharsets.UTF_8);
    }
}
