package rescaler.jobs.operators;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

/** Goal: the arithmetic of panes agrees with counting windows one by one, also before the epoch. */
class WindowsTest {
    @Test
    void panesAgreeWithTheDefinition() {
        for (long size : new long[] {1, 4, 6, 10}) {
            for (long slide = 1; slide <= size; slide++) {
                Windows windows = new Windows(size, slide);
                for (long timestamp = -40; timestamp < 40; timestamp++) {
                    check(windows, timestamp);
                }
            }
        }
    }

    private static void check(Windows windows, long timestamp) {
        long first = Long.MAX_VALUE;
        long last = Long.MIN_VALUE;
        for (long start = -100 * windows.slideMs(); start <= 100; start += windows.slideMs()) {
            if (start <= timestamp && timestamp < start + windows.sizeMs()) {
                first = Math.min(first, start + windows.sizeMs());
                last = Math.max(last, start + windows.sizeMs());
            }
        }
        long pane = windows.paneStart(timestamp);
        assertEquals(first, windows.firstEnd(pane), windows + " at " + timestamp);
        assertEquals(last, windows.lastEnd(pane), windows + " at " + timestamp);
    }

    @Test
    void aPaneIsTheGreatestCommonDivisor() {
        assertEquals(2, new Windows(10, 4).paneMs());
        assertEquals(1000, new Windows(10_000, 1000).paneMs());
        assertEquals(10, Windows.tumbling(10).paneMs());
    }

    @Test
    void gapsBetweenWindowsAreRefused() {
        assertThrows(IllegalArgumentException.class, () -> new Windows(10, 11));
        assertThrows(IllegalArgumentException.class, () -> new Windows(0, 0));
    }
}
