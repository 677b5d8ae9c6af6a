package rescaler.jobs.operators;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeutils.base.LongSerializer;
import org.apache.flink.metrics.Counter;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.metrics.OperatorProbe;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordSerializer;

/**
 * A window over the whole stream, with parallelism 1.
 *
 * <p>Flink's {@code windowAll} keeps its accumulators in a state backend under an artificial key, with a read and a
 * write of RocksDB per record. Here each record updates an accumulator on the heap (a pane, see {@link Windows}),
 * and a checkpoint writes the few open panes as operator state. So one task keeps up with many; in return, open
 * panes must fit into memory: a pane must be an aggregate and never the records themselves.
 *
 * <p>Windows with records fire in order when the watermark has passed their end. A record that belongs only to fired
 * windows is dropped and counted.
 *
 * @param <IN> input
 * @param <P> accumulator of one pane
 */
public abstract class AllWindowOperator<IN, P> extends MeasuredOperator<byte[]>
        implements OneInputStreamOperator<IN, byte[]> {
    private static final long serialVersionUID = 1L;

    private final Windows windows;
    private final RecordFormat<StoredPane<P>> storedFormat;

    private transient NavigableMap<Long, P> panes;
    private transient long firedUpTo;
    private transient ListState<StoredPane<P>> storedPanes;
    private transient ListState<Long> storedFiredUpTo;
    private transient Counter lateRecords;
    private transient OperatorProbe.ValueProbe windowSize;
    private transient OperatorProbe.ResultProbe results;

    protected AllWindowOperator(OperatorSettings settings, Windows windows, RecordFormat<StoredPane<P>> storedFormat) {
        super(settings, 1);
        this.windows = windows;
        this.storedFormat = storedFormat;
    }

    /** Creates an empty accumulator. */
    protected abstract P newPane();

    protected abstract void add(P pane, IN value);

    /** Returns the input's ingestion time, ms since the epoch. */
    protected abstract long ingestionTime(IN value);

    /**
     * Emits the results of a window by {@link #emit}.
     *
     * @param contents the window's panes with records, oldest first; at least one; read-only
     * @return number of records in the window, and the newest ingestion time among them
     */
    protected abstract Fired fire(long windowEnd, Iterable<P> contents);

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        storedPanes = context.getOperatorStateStore()
                .getListState(new ListStateDescriptor<>("panes", RecordSerializer.of(storedFormat)));
        storedFiredUpTo = context.getOperatorStateStore()
                .getListState(new ListStateDescriptor<>("fired-up-to", LongSerializer.INSTANCE));
        panes = new TreeMap<>();
        firedUpTo = Long.MIN_VALUE;
        for (StoredPane<P> stored : storedPanes.get()) {
            panes.put(stored.start(), stored.pane());
        }
        for (long stored : storedFiredUpTo.get()) {
            firedUpTo = stored;
        }
    }

    @Override
    public void open() throws Exception {
        super.open();
        lateRecords = probe.counter("lateRecords");
        windowSize = probe.windowSize();
        results = probe.results();
    }

    @Override
    public void processElement(StreamRecord<IN> element) {
        IN value = element.getValue();
        long begun = probe.begin(0, ingestionTime(value));
        work.spend();
        long start = windows.paneStart(element.getTimestamp());
        if (windows.lastEnd(start) <= firedUpTo) {
            lateRecords.inc();
        } else {
            P pane = panes.get(start);
            if (pane == null) {
                pane = newPane();
                panes.put(start, pane);
            }
            add(pane, value);
        }
        probe.end(0, begun);
    }

    @Override
    public void processWatermark(Watermark mark) throws Exception {
        // A watermark of t means that nothing at or before t will come: the window that ends at t + 1 is complete.
        long complete = mark.getTimestamp() == Long.MAX_VALUE ? Long.MAX_VALUE : mark.getTimestamp() + 1;
        while (!panes.isEmpty()) {
            long end = Math.max(windows.firstEnd(panes.firstKey()), nextEndAfterFired());
            if (end > complete) {
                break;
            }
            fireWindow(end);
            firedUpTo = end;
            dropPanesBefore(end);
        }
        super.processWatermark(mark);
    }

    private long nextEndAfterFired() {
        return firedUpTo == Long.MIN_VALUE ? Long.MIN_VALUE : firedUpTo + windows.slideMs();
    }

    private void fireWindow(long end) {
        NavigableMap<Long, P> contents = panes.subMap(end - windows.sizeMs(), true, end, false);
        if (contents.isEmpty()) {
            return;
        }
        long begun = probe.beginFiring();
        Fired fired = fire(end, contents.values());
        windowSize.record(fired.records());
        results.emitted(fired.newestIngestionTime(), end);
        probe.endFiring(begun);
    }

    /** Drops the panes whose last window has fired. */
    private void dropPanesBefore(long end) {
        while (!panes.isEmpty() && windows.lastEnd(panes.firstKey()) <= end) {
            panes.pollFirstEntry();
        }
    }

    /** Emits one result of the window with that end. */
    protected final void emit(JsonRow row, long windowEnd) {
        output.collect(new StreamRecord<>(row.toBytes(), windowEnd - 1));
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        super.snapshotState(context);
        List<StoredPane<P>> stored = new ArrayList<>(panes.size());
        for (Map.Entry<Long, P> pane : panes.entrySet()) {
            stored.add(new StoredPane<>(pane.getKey(), pane.getValue()));
        }
        storedPanes.update(stored);
        storedFiredUpTo.update(firedUpTo == Long.MIN_VALUE ? List.of() : List.of(firedUpTo));
    }
}
