package rescaler.jobs.events;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

/**
 * Goal: one bad byte is found at any position in a string of any length, and bytes outside the string do not matter.
 */
class Utf8Test {
    /** Start of the string, after the length and the fields before it. */
    private static final int FROM = 29;
    private static final int LENGTH_MAX = 40;

    @Test
    void aBadByteIsFoundAtEveryPlace() {
        for (int length = 1; length <= LENGTH_MAX; length++) {
            for (int place = FROM; place < FROM + length; place++) {
                byte[] bytes = lettersBetweenBadBytes(length);
                bytes[place] = (byte) 0x80;
                String where = "byte " + (place - FROM) + " of " + length;
                assertFalse(Utf8.isAscii(bytes, FROM, FROM + length), where);
                assertEquals(place, Utf8.firstBad(bytes, FROM, FROM + length), where);
            }
        }
    }

    @Test
    void bytesBesideTheStringDoNotMatter() {
        for (int length = 0; length <= LENGTH_MAX; length++) {
            byte[] bytes = lettersBetweenBadBytes(length);
            assertTrue(Utf8.isAscii(bytes, FROM, FROM + length), length + " letters");
            assertEquals(FROM + length, Utf8.firstBad(bytes, FROM, FROM + length), length + " letters");
        }
    }

    @Test
    void nothingIsReadBeforeTheArraysBegin() {
        byte[] letters = {'a', 'b', 'c'};
        for (int from = 0; from < letters.length; from++) {
            assertEquals(letters.length, Utf8.firstBad(letters, from, letters.length));
            assertFalse(Utf8.isAscii(letters, from, letters.length), "not sure, so the slower check decides");
        }
    }

    private static byte[] lettersBetweenBadBytes(int length) {
        byte[] bytes = new byte[FROM + length + Long.BYTES];
        Arrays.fill(bytes, (byte) 0xff);
        Arrays.fill(bytes, FROM, FROM + length, (byte) 'x');
        return bytes;
    }
}
