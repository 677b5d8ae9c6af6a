package rescaler.jobs.operators;

import java.util.ArrayList;
import java.util.List;

/** One key's open panes, oldest first, and how far its windows have fired. */
public final class Panes<P> {
    private final List<StoredPane<P>> panes = new ArrayList<>(2);
    private long firedUpTo;

    Panes(long firedUpTo) {
        this.firedUpTo = firedUpTo;
    }

    /** End of the last window that fired while the key had state, ms since the epoch; the lowest number if none. */
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

    /** The pane that starts there, or null. */
    P get(long start) {
        for (int index = panes.size() - 1; index >= 0; index--) {
            if (panes.get(index).start() == start) {
                return panes.get(index).pane();
            }
        }
        return null;
    }

    /** Adds a pane that is not there yet. */
    void add(long start, P pane) {
        int index = panes.size();
        while (index > 0 && panes.get(index - 1).start() > start) {
            index--;
        }
        panes.add(index, new StoredPane<>(start, pane));
    }

    /** The panes that start within [from, to), oldest first. */
    List<P> within(long from, long to) {
        List<P> found = new ArrayList<>(panes.size());
        for (StoredPane<P> pane : panes) {
            if (pane.start() >= from && pane.start() < to) {
                found.add(pane.pane());
            }
        }
        return found;
    }

    /** Notes that the window with that end has fired, and drops the panes that no later window contains. */
    void fired(long end, Windows windows) {
        firedUpTo = Math.max(firedUpTo, end);
        panes.removeIf(pane -> windows.lastEnd(pane.start()) <= end);
    }
}
