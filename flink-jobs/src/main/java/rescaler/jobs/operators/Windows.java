package rescaler.jobs.operators;

import java.io.Serializable;

/**
 * Tumbling and sliding windows made of panes.
 *
 * <p>Windows are [start, start + size) for every multiple of the slide as start. A pane is as long as the greatest
 * common divisor of size and slide, so that every window is a whole number of panes and every record belongs to one
 * pane only, however many windows it counts in. All times are ms since the epoch.
 *
 * @param sizeMs length of a window
 * @param slideMs distance of two windows' starts, at most the size; equal to it for tumbling windows
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

    /** Start of the pane a moment belongs to. */
    public long paneStart(long timestamp) {
        return timestamp - Math.floorMod(timestamp, paneMs());
    }

    /** Length of a pane. */
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

    /** End of the first window that contains the pane. */
    public long firstEnd(long paneStart) {
        long lastStartBefore = paneStart - sizeMs - Math.floorMod(paneStart - sizeMs, slideMs);
        return lastStartBefore + slideMs + sizeMs;
    }

    /** End of the last window that contains the pane. */
    public long lastEnd(long paneStart) {
        return paneStart - Math.floorMod(paneStart, slideMs) + sizeMs;
    }
}
