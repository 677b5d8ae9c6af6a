package rescaler.jobs.operators;

import java.io.Serializable;

/**
 * Tumbling and sliding windows made of panes.
 *
 * <p>Windows are [start, start + size) for every multiple of the slide as start. A pane is as long as the greatest
 * common divisor of size and slide, so that every window consists of whole panes and every record belongs to one
 * pane, however many windows contain it. All times are ms since the epoch.
 *
 * @param sizeMs length of a window
 * @param slideMs distance between window starts, at most the size; equal to it for tumbling windows
 */
public record Windows(long sizeMs, long slideMs) implements Serializable {
    public Windows {
        if (sizeMs <= 0 || slideMs <= 0 || slideMs > sizeMs) {
            throw new IllegalArgumentException("window size " + sizeMs + " ms, slide " + slideMs + " ms");
        }
    }

    public static Windows tumbling(long sizeMs) {
        return new Windows(sizeMs, sizeMs);
    }

    /** Returns the start of a timestamp's pane. */
    public long paneStart(long timestamp) {
        return timestamp - Math.floorMod(timestamp, paneMs());
    }

    /** Returns the length of a pane. */
    public long paneMs() {
        long divisor = sizeMs;
        long rest = slideMs;
        while (rest != 0) {
            long next = divisor % rest;
            divisor = rest;
            rest = next;
        }
        return divisor;
    }

    /** Returns the end of the first window that contains the pane. */
    public long firstEnd(long paneStart) {
        long lastStartBefore = paneStart - sizeMs - Math.floorMod(paneStart - sizeMs, slideMs);
        return lastStartBefore + slideMs + sizeMs;
    }

    /** Returns the end of the last window that contains the pane. */
    public long lastEnd(long paneStart) {
        return paneStart - Math.floorMod(paneStart, slideMs) + sizeMs;
    }
}
