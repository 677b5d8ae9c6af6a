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
 * A value per key (a number) that no window ends: it is forgotten when its key had no news for the time to live, in
 * event time.
 *
 * <p>A key has one timer, which is moved on when it comes and there was news. Watermarks come in steps, so a record from
 * after a silence may be here before the timer that would have ended it. {@link #wasSilent} is therefore asked for each
 * record as well, and a key begins anew after the same silences whenever its records happen to be processed.
 *
 * @param <I> input
 * @param <V> what is known of a key
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

    /** @param stateTtlMs a key is forgotten after so long without news, ms of event time */
    protected ExpiringOperator(
            OperatorSettings settings, String stateName, RecordType<V> stateType, long stateTtlMs) {
        super(settings, 1);
        this.stateName = stateName;
        this.stateType = stateType;
        this.stateTtlMs = stateTtlMs;
    }

    /** The input's ingestion time, ms since the epoch. */
    protected abstract long ingestionTime(I input);

    /** The moment from which the input keeps its key alive, ms since the epoch. */
    protected abstract long eventTime(I input);

    /** The latest {@link #eventTime} of the value's inputs. */
    protected abstract long newest(V value);

    /**
     * Takes in one input and emits what it brings about.
     *
     * @param value the key's, to be changed at will; null if there is none
     * @return the key's value from now on
     */
    protected abstract V add(V value, StreamRecord<I> element) throws Exception;

    /** Brings a value up to that time before it is decided whether to forget it. */
    protected void advance(V value, long time) throws Exception {}

    /** The current key's value was forgotten. */
    protected void forgotten() throws Exception {}

    /** Whether a key whose newest input was at the one time had been forgotten by the other, both ms since the epoch. */
    protected final boolean wasSilent(long newest, long until) {
        return newest + stateTtlMs <= until;
    }

    /** The current key's value outside of {@link #add}, or null; to be put back when it was changed. */
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
