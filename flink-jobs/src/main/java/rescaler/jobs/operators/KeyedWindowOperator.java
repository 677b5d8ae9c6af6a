package rescaler.jobs.operators;

import java.util.List;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.metrics.Counter;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.api.operators.InternalTimerService;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.metrics.OperatorProbe;
import rescaler.jobs.state.CachedState;
import rescaler.jobs.state.RecordSerializer;

/**
 * Windows per key (a number), of one or two inputs.
 *
 * <p>Flink's window operator keeps an accumulator per key and window and updates it in the state backend for each
 * record, ten times for a window of ten slides. Here a record updates one accumulator of one pane, as an object, and
 * a key has one timer: for the next window to fire. Windows with records fire when the watermark has passed their
 * end; a record whose windows have all fired is dropped and counted. A key without open panes has no state.
 *
 * <p>Metrics: one firing is everything that one watermark fires here, because the input waits that long. {@code
 * windowSize} is its number of records, over all keys of the subtask.
 *
 * @param <P> accumulator of one key and pane
 */
public abstract class KeyedWindowOperator<P> extends MeasuredOperator<byte[]> {
    private static final long serialVersionUID = 1L;

    private final Windows windows;
    private final PanesFormat<P> format;

    private transient CachedState<Panes<P>> state;
    private transient InternalTimerService<VoidNamespace> windowEnds;
    private transient Counter lateRecords;
    private transient OperatorProbe.ValueProbe windowSize;
    private transient OperatorProbe.ResultProbe results;
    private transient long firedRecords;

    protected KeyedWindowOperator(
            OperatorSettings settings, int inputCount, Windows windows, PanesFormat<P> format) {
        super(settings, inputCount);
        this.windows = windows;
        this.format = format;
    }

    /** Creates an empty accumulator. */
    protected abstract P newPane();

    /**
     * Emits the results of one key's window by {@link #emit}.
     *
     * @param contents the window's panes with records, oldest first; at least one; read-only
     * @return number of records in the window, and the newest ingestion time among them
     */
    protected abstract Fired fire(long key, long windowEnd, List<P> contents);

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        ValueState<Panes<P>> stored = context.getKeyedStateStore()
                .getState(new ValueStateDescriptor<>("panes", RecordSerializer.of(format)));
        state = new CachedState<>(this, stored, settings().cachedKeys());
    }

    @Override
    public void open() throws Exception {
        super.open();
        windowEnds = getInternalTimerService(
                "window-ends", VoidNamespaceSerializer.INSTANCE, (EventTimer<Long>) this::windowEnded);
        lateRecords = probe.counter("lateRecords");
        windowSize = probe.windowSize();
        results = probe.results();
    }

    /**
     * Returns the current key's pane for a record of that timestamp, to be changed immediately; null if the record
     * is late, which is counted.
     */
    protected final P paneAt(long timestamp) throws Exception {
        long start = windows.paneStart(timestamp);
        Panes<P> panes = state.get();
        long fired = panes == null ? Long.MIN_VALUE : panes.firedUpTo();
        long watermark = windowEnds.currentWatermark();
        long complete = Math.max(fired, watermark == Long.MAX_VALUE ? watermark : watermark + 1);
        if (windows.lastEnd(start) <= complete) {
            lateRecords.inc();
            return null;
        }
        if (panes == null) {
            panes = new Panes<>(Long.MIN_VALUE);
        }
        P pane = panes.get(start);
        if (pane == null) {
            pane = newPane();
            scheduleFirstWindow(panes, start, complete);
            panes.add(start, pane);
        }
        state.put(panes);
        return pane;
    }

    /**
     * Registers a timer for the new pane's first window that can still fire, unless an earlier pane of the key has
     * one.
     */
    private void scheduleFirstWindow(Panes<P> panes, long start, long complete) {
        if (!panes.isEmpty() && windows.firstEnd(panes.firstStart()) <= windows.firstEnd(start)) {
            return;
        }
        long end = windows.firstEnd(start);
        while (end <= complete) {
            end += windows.slideMs();
        }
        schedule(end);
    }

    private void schedule(long windowEnd) {
        windowEnds.registerEventTimeTimer(VoidNamespace.INSTANCE, windowEnd - 1);
    }

    private void windowEnded(InternalTimer<Long, VoidNamespace> timer) throws Exception {
        long end = timer.getTimestamp() + 1;
        Panes<P> panes = state.get();
        if (panes == null || end <= panes.firedUpTo()) {
            return;
        }
        List<P> contents = panes.within(end - windows.sizeMs(), end);
        if (!contents.isEmpty()) {
            Fired fired = fire(timer.getKey(), end, contents);
            firedRecords += fired.records();
            results.emitted(fired.newestIngestionTime(), end);
        }
        panes.fired(end, windows);
        if (panes.isEmpty()) {
            state.remove();
        } else {
            state.put(panes);
            schedule(Math.max(windows.firstEnd(panes.firstStart()), end + windows.slideMs()));
        }
    }

    @Override
    public void processWatermark(Watermark mark) throws Exception {
        firedRecords = 0;
        long begun = probe.beginFiring();
        super.processWatermark(mark);
        if (firedRecords > 0) {
            windowSize.record(firedRecords);
            probe.endFiring(begun);
        }
    }

    /** Emits one result of the window with that end. */
    protected final void emit(JsonRow row, long windowEnd) {
        output.collect(new StreamRecord<>(row.toBytes(), windowEnd - 1));
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        state.flush();
        super.snapshotState(context);
    }
}
