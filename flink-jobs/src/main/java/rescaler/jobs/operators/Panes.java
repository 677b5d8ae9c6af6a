package rescaler.jobs.operators;

import java.util.ArrayList;
import java.util.List;

/** One key's open panes, oldest first, and the end of its last fired window. */
public final class Panes<P> {
    private final List<StoredPane<P>> panes = new ArrayList<>(2);
    private long firedUpTo;

    Panes(long firedUpTo) {
        this.firedUpTo = firedUpTo;
    }

    /**
     * Returns the end of the last window that fired while the key had state, ms since the epoch; the smallest number
     * if none.
     */
    long firedUpTo() {
        return firedUpTo;
    }

    boolean isEmpty() {
        return panes.isEmpty();
    }

    long firstStart() {
        return panes.get(0).start();
    }

    List<StoredPane<P>> all() {
        return panes;
    }

    /** Returns the pane with that start, or null. */
    P get(long start) {
        for (int index = panes.size() - 1; index >= 0; index--) {
            if (panes.get(index).start() == start) {
                return panes.get(index).pane();
            }
        }
        return null;
    }

    /** Adds a new pane. */
    void add(long start, P pane) {
        int index = panes.size();
        while (index > 0 && panes.get(index - 1).start() > start) {
            index--;
        }
        panes.add(index, new StoredPane<>(start, pane));
    }

    /** Returns the panes that start within [from, to), oldest first. */
    List<P> within(long from, long to) {
        List<P> found = new ArrayList<>(panes.size());
        for (StoredPane<P> pane : panes) {
            if (pane.start() >= from && pane.start() < to) {
                found.add(pane.pane());
            }
        }
        return found;
    }

    /** Records that the window with that end has fired, and drops the panes that no later window contains. */
    void fired(long end, Windows windows) {
        firedUpTo = Math.max(firedUpTo, end);
        panes.removeIf(pane -> windows.lastEnd(pane.start()) <= end);
    }
}
