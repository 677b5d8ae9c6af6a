package rescaler.jobs.operators;

import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.api.operators.InternalTimerService;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.metrics.OperatorProbe;
import rescaler.jobs.state.CachedState;
import rescaler.jobs.state.RecordType;

/**
 * A value per key (a number) that expires when its key had no input for the time to live, in event time.
 *
 * <p>A key has one timer, which is postponed when it fires after new input. Watermarks advance in steps, so a record
 * after a silence may be processed before the timer that would have expired the key. {@link #wasSilent} is therefore
 * checked for each record as well, so that expiry does not depend on processing order.
 *
 * @param <I> input
 * @param <V> value of a key
 */
public abstract class ExpiringOperator<I, V> extends MeasuredOperator<byte[]>
        implements OneInputStreamOperator<I, byte[]> {
    private static final long serialVersionUID = 1L;

    private final String stateName;
    private final RecordType<V> stateType;
    private final long stateTtlMs;

    private transient CachedState<V> values;
    private transient InternalTimerService<VoidNamespace> silences;

    /** The last operator's results. */
    protected transient OperatorProbe.ResultProbe results;

    /** @param stateTtlMs time to live of a key without input, ms of event time */
    protected ExpiringOperator(
            OperatorSettings settings, String stateName, RecordType<V> stateType, long stateTtlMs) {
        super(settings, 1);
        this.stateName = stateName;
        this.stateType = stateType;
        this.stateTtlMs = stateTtlMs;
    }

    /** Returns the input's ingestion time, ms since the epoch. */
    protected abstract long ingestionTime(I input);

    /** Returns the time from which the input keeps its key alive, ms since the epoch. */
    protected abstract long eventTime(I input);

    /** Returns the latest {@link #eventTime} of the value's inputs. */
    protected abstract long newest(V value);

    /**
     * Processes one input and emits its results.
     *
     * @param value the key's value, mutable; null if there is none
     * @return the key's new value
     */
    protected abstract V add(V value, StreamRecord<I> element) throws Exception;

    /** Advances a value to that time before its expiry is decided. */
    protected void advance(V value, long time) throws Exception {}

    /** Called after the current key's value has expired. */
    protected void forgotten() throws Exception {}

    /**
     * Returns whether a key whose newest input was at {@code newest} had expired by {@code until}, both ms since the
     * epoch.
     */
    protected final boolean wasSilent(long newest, long until) {
        return newest + stateTtlMs <= until;
    }

    /** Returns the current key's value outside of {@link #add}, or null; to be put back after a change. */
    protected final CachedState<V> values() {
        return values;
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        ValueState<V> stored = context.getKeyedStateStore()
                .getState(new ValueStateDescriptor<>(stateName, stateType.serializer()));
        values = new CachedState<>(this, stored, settings().cachedKeys());
    }

    @Override
    public void open() throws Exception {
        super.open();
        silences = getInternalTimerService(
                "time-to-live", VoidNamespaceSerializer.INSTANCE, (EventTimer<Long>) this::forgetIfSilent);
        results = probe.results();
    }

    @Override
    public void processElement(StreamRecord<I> element) throws Exception {
        I input = element.getValue();
        long begun = probe.begin(0, ingestionTime(input));
        work.spend();
        V value = values.get();
        if (value == null) {
            forgetAfter(eventTime(input));
        }
        values.put(add(value, element));
        probe.end(0, begun);
    }

    private void forgetAfter(long newest) {
        silences.registerEventTimeTimer(VoidNamespace.INSTANCE, newest + stateTtlMs);
    }

    private void forgetIfSilent(InternalTimer<Long, VoidNamespace> timer) throws Exception {
        V value = values.get();
        if (value == null) {
            return;
        }
        advance(value, timer.getTimestamp());
        if (wasSilent(newest(value), timer.getTimestamp())) {
            values.remove();
            forgotten();
        } else {
            values.put(value);
            forgetAfter(newest(value));
        }
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        values.flush();
        super.snapshotState(context);
    }
}
