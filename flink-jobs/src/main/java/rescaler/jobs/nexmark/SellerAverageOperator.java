package rescaler.jobs.nexmark;

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
import rescaler.jobs.operators.EventTimer;
import rescaler.jobs.operators.JsonRow;
import rescaler.jobs.operators.MeasuredOperator;
import rescaler.jobs.operators.TimeToLive;
import rescaler.jobs.state.CachedState;

/**
 * {@code q6-seller-average}: the average price of a seller's last closed auctions; keyed by seller.
 *
 * <p>A window by number depends on order, and closed auctions arrive from many subtasks in any order. So they wait until
 * the watermark has reached their end and are then taken by end and auction id: the rows are the same at any
 * parallelism. A seller is forgotten when no auction has ended for the time to live. {@code eventLatency} counts from
 * the auction's end.
 */
final class SellerAverageOperator extends MeasuredOperator<byte[]>
        implements OneInputStreamOperator<ClosedAuction, byte[]> {
    private static final long serialVersionUID = 1L;

    private final long windowSize;
    private final long windowSlide;
    private final long stateTtlMs;

    private transient CachedState<SellerHistory> histories;
    private transient InternalTimerService<VoidNamespace> ends;
    private transient TimeToLive timeToLive;
    private transient OperatorProbe.ValueProbe windowSizes;
    private transient OperatorProbe.ResultProbe results;

    SellerAverageOperator(OperatorSettings settings, long windowSize, long windowSlide, long stateTtlMs) {
        super(settings, 1);
        this.windowSize = windowSize;
        this.windowSlide = windowSlide;
        this.stateTtlMs = stateTtlMs;
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        histories = new CachedState<>(
                this,
                context.getKeyedStateStore()
                        .getState(new ValueStateDescriptor<>("history", SellerHistory.TYPE.serializer())),
                settings().cachedKeys());
    }

    @Override
    public void open() throws Exception {
        super.open();
        ends = getInternalTimerService("ends", VoidNamespaceSerializer.INSTANCE, (EventTimer<Long>) this::auctionsEnded);
        timeToLive = new TimeToLive(
                getInternalTimerService(
                        "time-to-live", VoidNamespaceSerializer.INSTANCE, (EventTimer<Long>) this::forgetIfSilent),
                stateTtlMs);
        windowSizes = probe.windowSize();
        results = probe.results();
    }

    @Override
    public void processElement(StreamRecord<ClosedAuction> element) throws Exception {
        ClosedAuction closed = element.getValue();
        long begun = probe.begin(0, closed.newestIngestionTime());
        work.spend();
        SellerHistory history = histories.get();
        if (history == null) {
            history = new SellerHistory();
            timeToLive.begin(closed.end());
        }
        history.add(closed);
        histories.put(history);
        ends.registerEventTimeTimer(VoidNamespace.INSTANCE, closed.end() - 1);
        probe.end(0, begun);
    }

    private void auctionsEnded(InternalTimer<Long, VoidNamespace> timer) throws Exception {
        SellerHistory history = histories.get();
        if (history != null) {
            slideOver(history, timer.getTimestamp());
            histories.put(history);
        }
    }

    private void slideOver(SellerHistory history, long now) {
        long begun = probe.beginFiring();
        for (ClosedAuction closed : history.takeEndedBy(now + 1)) {
            if (history.slide(closed.price(), windowSize, windowSlide)) {
                emit(closed, history);
            }
        }
        probe.endFiring(begun);
    }

    private void emit(ClosedAuction closed, SellerHistory history) {
        JsonRow row = new JsonRow("q6")
                .with("seller_id", closed.subject())
                .with("auctions", history.size())
                .with("average_price", history.average());
        output.collect(new StreamRecord<>(row.toBytes(), closed.end() - 1));
        windowSizes.record(history.size());
        results.emitted(closed.newestIngestionTime(), closed.end());
    }

    private void forgetIfSilent(InternalTimer<Long, VoidNamespace> timer) throws Exception {
        SellerHistory history = histories.get();
        if (history == null) {
            return;
        }
        // When time leaps, as at the end of a bounded stream, this timer may come before that of an auction's end.
        slideOver(history, timer.getTimestamp());
        if (timeToLive.isOver(timer.getTimestamp(), history.newestEnd())) {
            histories.remove();
        } else {
            histories.put(history);
        }
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        histories.flush();
        super.snapshotState(context);
    }
}
