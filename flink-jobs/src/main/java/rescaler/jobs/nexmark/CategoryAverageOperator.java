package rescaler.jobs.nexmark;

import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.operators.InternalTimer;
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
 * {@code q4-category-average}: the running average of closing prices; keyed by category.
 *
 * <p>Prices are summed as integers, so that the average of the same auctions is the same in any order. A category is
 * forgotten when no auction of it has ended for the time to live, in event time. {@code eventLatency} counts from the
 * auction's end.
 */
final class CategoryAverageOperator extends MeasuredOperator<byte[]>
        implements OneInputStreamOperator<ClosedAuction, byte[]> {
    private static final long serialVersionUID = 1L;

    private final long stateTtlMs;

    private transient CachedState<CategoryTotal> totals;
    private transient TimeToLive timeToLive;
    private transient OperatorProbe.ResultProbe results;

    CategoryAverageOperator(OperatorSettings settings, long stateTtlMs) {
        super(settings, 1);
        this.stateTtlMs = stateTtlMs;
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        totals = new CachedState<>(
                this,
                context.getKeyedStateStore()
                        .getState(new ValueStateDescriptor<>("total", CategoryTotal.TYPE.serializer())),
                settings().cachedKeys());
    }

    @Override
    public void open() throws Exception {
        super.open();
        timeToLive = new TimeToLive(
                getInternalTimerService(
                        "time-to-live", VoidNamespaceSerializer.INSTANCE, (EventTimer<Long>) this::forgetIfSilent),
                stateTtlMs);
        results = probe.results();
    }

    @Override
    public void processElement(StreamRecord<ClosedAuction> element) throws Exception {
        ClosedAuction closed = element.getValue();
        long begun = probe.begin(0, closed.newestIngestionTime());
        work.spend();
        CategoryTotal before = totals.get();
        if (before == null) {
            before = new CategoryTotal(0, 0, closed.end());
            timeToLive.begin(closed.end());
        }
        CategoryTotal total = new CategoryTotal(
                before.auctions() + 1,
                before.priceSum() + closed.price(),
                Math.max(before.newestEnd(), closed.end()));
        totals.put(total);
        JsonRow row = new JsonRow("q4")
                .with("category_id", closed.subject())
                .with("closed_auctions", total.auctions())
                .with("average_price", (double) total.priceSum() / total.auctions());
        output.collect(new StreamRecord<>(row.toBytes(), element.getTimestamp()));
        results.emitted(closed.newestIngestionTime(), closed.end());
        probe.end(0, begun);
    }

    private void forgetIfSilent(InternalTimer<Long, VoidNamespace> timer) throws Exception {
        CategoryTotal total = totals.get();
        if (total != null && timeToLive.isOver(timer.getTimestamp(), total.newestEnd())) {
            totals.remove();
        }
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        totals.flush();
        super.snapshotState(context);
    }
}
