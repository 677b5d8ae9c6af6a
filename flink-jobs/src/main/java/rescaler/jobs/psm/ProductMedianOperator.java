package rescaler.jobs.psm;

import java.util.List;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.events.Click;
import rescaler.jobs.metrics.OperatorProbe;
import rescaler.jobs.operators.EventTimer;
import rescaler.jobs.operators.JsonRow;
import rescaler.jobs.operators.MeasuredOperator;
import rescaler.jobs.operators.TimeToLive;
import rescaler.jobs.state.CachedState;
import rescaler.jobs.state.LongCounts;

/**
 * {@code q2-product-median}: the median price of a product's last clicks, each time as many more have come as the slide
 * says; keyed by product, clicks taken in order of arrival.
 *
 * <p>The window is kept as panes of one slide each, and a pane as how often each price occurred: the median needs no
 * more, and there are few different prices. A click touches the newest pane only; the others, which are most of the
 * state, are read when the window fires. A product is forgotten when it had no click for the time to live.
 */
final class ProductMedianOperator extends MeasuredOperator<byte[]> implements OneInputStreamOperator<Click, byte[]> {
    private static final long serialVersionUID = 1L;

    private final int panesOfWindow;
    private final long paneSize;
    private final long stateTtlMs;

    private transient CachedState<ProductPrices> newest;
    private transient ValueState<ProductPrices.History> earlier;
    private transient TimeToLive timeToLive;
    private transient OperatorProbe.ValueProbe windowSizes;
    private transient OperatorProbe.ResultProbe results;

    /** @param windowSlide divides the window's size */
    ProductMedianOperator(OperatorSettings settings, long windowSize, long windowSlide, long stateTtlMs) {
        super(settings, 1);
        this.panesOfWindow = Math.toIntExact(windowSize / windowSlide);
        this.paneSize = windowSlide;
        this.stateTtlMs = stateTtlMs;
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        newest = new CachedState<>(
                this,
                context.getKeyedStateStore()
                        .getState(new ValueStateDescriptor<>("newest-pane", ProductPrices.TYPE.serializer())),
                settings().cachedKeys());
        earlier = context.getKeyedStateStore()
                .getState(new ValueStateDescriptor<>("earlier-panes", ProductPrices.HISTORY.serializer()));
    }

    @Override
    public void open() throws Exception {
        super.open();
        timeToLive = new TimeToLive(
                getInternalTimerService(
                        "time-to-live", VoidNamespaceSerializer.INSTANCE, (EventTimer<Long>) this::forgetIfSilent),
                stateTtlMs);
        windowSizes = probe.windowSize();
        results = probe.results();
    }

    @Override
    public void processElement(StreamRecord<Click> element) throws Exception {
        Click click = element.getValue();
        long begun = probe.begin(0, click.ingestionTime());
        work.spend();
        ProductPrices pane = newest.get();
        if (pane == null) {
            pane = new ProductPrices(click.timestamp());
            timeToLive.begin(click.timestamp());
        }
        pane.add(click.price(), click.timestamp());
        if (pane.prices().total() == paneSize) {
            fire(click, pane);
            pane = new ProductPrices(pane.newestTimestamp());
        }
        newest.put(pane);
        probe.end(0, begun);
    }

    private void fire(Click click, ProductPrices full) throws Exception {
        ProductPrices.History history = earlier.value();
        history = (history == null ? new ProductPrices.History(List.of()) : history)
                .with(full.prices(), panesOfWindow);
        LongCounts window = new LongCounts();
        history.panes().forEach(window::addAll);
        JsonRow row = new JsonRow("q2")
                .with("product", click.product())
                .with("clicks", window.total())
                .with("median_price", window.median());
        output.collect(new StreamRecord<>(row.toBytes(), click.timestamp()));
        earlier.update(history);
        windowSizes.record(window.total());
        results.emitted(click.ingestionTime(), full.newestTimestamp());
    }

    private void forgetIfSilent(InternalTimer<Long, VoidNamespace> timer) throws Exception {
        ProductPrices pane = newest.get();
        if (pane != null && timeToLive.isOver(timer.getTimestamp(), pane.newestTimestamp())) {
            newest.remove();
            earlier.clear();
        }
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        newest.flush();
        super.snapshotState(context);
    }
}
