package rescaler.jobs.events;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * Finds the first sequence that is not valid UTF-8.
 *
 * <p>The JDK's decoder either replaces bad bytes silently or reports them without their offset, so this class checks
 * them, eight ASCII bytes at a time. Well-formed sequences are those of table 3-7 of the Unicode standard: no
 * overlong forms, no surrogates, nothing above U+10FFFF.
 */
final class Utf8 {
    private static final VarHandle LONGS =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
    private static final long HIGH_BITS = 0x8080808080808080L;

    private Utf8() {}

    /**
     * Returns whether all bytes within [from, to) are certainly below 128. False is inconclusive; see {@link
     * #firstBad}.
     */
    static boolean isAscii(byte[] bytes, int from, int to) {
        int at = from;
        while (to - at >= Long.BYTES) {
            if (((long) LONGS.get(bytes, at) & HIGH_BITS) != 0) {
                return false;
            }
            at += Long.BYTES;
        }
        if (at == to) {
            return true;
        }
        if (to < Long.BYTES) {
            return false; // Too near the array's begin for reading eight bytes; the slower check decides.
        }
        // The rest are the last bytes of the eight before the end; the preceding ones are shifted out.
        long last = (long) LONGS.get(bytes, to - Long.BYTES);
        return (last & (HIGH_BITS << (Long.SIZE - (to - at) * Byte.SIZE))) == 0;
    }

    /** Returns the offset of the first bad sequence within [from, to), or {@code to} if there is none. */
    static int firstBad(byte[] bytes, int from, int to) {
        int at = from;
        while (at < to) {
            if (to - at >= Long.BYTES && ((long) LONGS.get(bytes, at) & HIGH_BITS) == 0) {
                at += Long.BYTES;
                continue;
            }
            int length = sequenceLength(bytes, at, to);
            if (length == 0) {
                return at;
            }
            at += length;
        }
        return to;
    }

    /** Returns the length of the well-formed sequence at {@code at}, or 0 if there is none. */
    private static int sequenceLength(byte[] bytes, int at, int to) {
        int first = bytes[at] & 0xff;
        if (first < 0x80) {
            return 1;
        }
        if (first < 0xc2 || first > 0xf4) {
            return 0;
        }
        int length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
        if (to - at < length || !secondFits(first, bytes[at + 1] & 0xff)) {
            return 0;
        }
        for (int index = 2; index < length; index++) {
            if ((bytes[at + index] & 0xc0) != 0x80) {
                return 0;
            }
        }
        return length;
    }

    /** The second byte's range is narrower after first bytes that could begin overlong or excluded characters. */
    private static boolean secondFits(int first, int second) {
        int lowest = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        int highest = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        return second >= lowest && second <= highest;
    }
}
