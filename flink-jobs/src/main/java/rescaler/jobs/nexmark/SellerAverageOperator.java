package rescaler.jobs.nexmark;

import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.api.operators.InternalTimerService;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.metrics.OperatorProbe;
import rescaler.jobs.operators.EventTimer;
import rescaler.jobs.operators.ExpiringOperator;
import rescaler.jobs.operators.JsonRow;

/**
 * {@code q6-seller-average}: the average price of a seller's last closed auctions; keyed by seller.
 *
 * <p>A count window depends on order, and closed auctions arrive from many subtasks in any order. So they wait until
 * the watermark has reached their end and are then processed by end and auction id: the rows are the same at any
 * parallelism. A seller expires when no auction has ended for the time to live. {@code eventLatency} counts from the
 * auction's end.
 */
final class SellerAverageOperator extends ExpiringOperator<ClosedAuction, SellerHistory> {
    private static final long serialVersionUID = 1L;

    private final long windowSize;
    private final long windowSlide;

    private transient InternalTimerService<VoidNamespace> ends;
    private transient OperatorProbe.ValueProbe windowSizes;

    SellerAverageOperator(OperatorSettings settings, long windowSize, long windowSlide, long stateTtlMs) {
        super(settings, "history", SellerHistory.TYPE, stateTtlMs);
        this.windowSize = windowSize;
        this.windowSlide = windowSlide;
    }

    @Override
    protected long ingestionTime(ClosedAuction closed) {
        return closed.newestIngestionTime();
    }

    @Override
    protected long eventTime(ClosedAuction closed) {
        return closed.end();
    }

    @Override
    protected long newest(SellerHistory history) {
        return history.newestEnd();
    }

    @Override
    public void open() throws Exception {
        super.open();
        ends = getInternalTimerService("ends", VoidNamespaceSerializer.INSTANCE, (EventTimer<Long>) this::auctionsEnded);
        windowSizes = probe.windowSize();
    }

    @Override
    protected SellerHistory add(SellerHistory known, StreamRecord<ClosedAuction> element) {
        ClosedAuction closed = element.getValue();
        SellerHistory history = known == null ? new SellerHistory() : known;
        history.add(closed);
        ends.registerEventTimeTimer(VoidNamespace.INSTANCE, closed.end() - 1);
        return history;
    }

    private void auctionsEnded(InternalTimer<Long, VoidNamespace> timer) throws Exception {
        SellerHistory history = values().get();
        if (history != null) {
            advance(history, timer.getTimestamp());
            values().put(history);
        }
    }

    /**
     * Also called before a seller expires: after a jump of the watermark, that timer may precede the one of an
     * auction's end.
     */
    @Override
    protected void advance(SellerHistory history, long time) {
        long begun = probe.beginFiring();
        for (ClosedAuction closed : history.takeEndedBy(time + 1)) {
            if (history.hasPrices() && wasSilent(history.lastEnd(), closed.end())) {
                history.forgetPrices();
            }
            if (history.slide(closed, windowSize, windowSlide)) {
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
}
