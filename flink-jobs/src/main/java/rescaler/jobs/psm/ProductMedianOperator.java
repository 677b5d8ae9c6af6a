package rescaler.jobs.psm;

import java.util.List;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.events.Click;
import rescaler.jobs.metrics.OperatorProbe;
import rescaler.jobs.operators.ExpiringOperator;
import rescaler.jobs.operators.JsonRow;
import rescaler.jobs.state.LongCounts;

/**
 * {@code q2-product-median}: the median price of a product's last clicks, once per slide; keyed by product, clicks
 * in order of arrival.
 *
 * <p>The window consists of panes of one slide each, and a pane of the count of each price: this suffices for the
 * median, and there are few different prices. A click updates only the newest pane; the others, most of the state,
 * are read when the window fires. A product expires when it had no click for the time to live.
 */
final class ProductMedianOperator extends ExpiringOperator<Click, ProductPrices> {
    private static final long serialVersionUID = 1L;

    private final int panesOfWindow;
    private final long paneSize;

    private transient ValueState<ProductPrices.History> earlier;
    private transient OperatorProbe.ValueProbe windowSizes;

    /** @param windowSlide divides the window's size */
    ProductMedianOperator(OperatorSettings settings, long windowSize, long windowSlide, long stateTtlMs) {
        super(settings, "newest-pane", ProductPrices.TYPE, stateTtlMs);
        this.panesOfWindow = Math.toIntExact(windowSize / windowSlide);
        this.paneSize = windowSlide;
    }

    @Override
    protected long ingestionTime(Click click) {
        return click.ingestionTime();
    }

    @Override
    protected long eventTime(Click click) {
        return click.timestamp();
    }

    @Override
    protected long newest(ProductPrices pane) {
        return pane.newestTimestamp();
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        earlier = context.getKeyedStateStore()
                .getState(new ValueStateDescriptor<>("earlier-panes", ProductPrices.HISTORY.serializer()));
    }

    @Override
    public void open() throws Exception {
        super.open();
        windowSizes = probe.windowSize();
    }

    @Override
    protected ProductPrices add(ProductPrices known, StreamRecord<Click> element) throws Exception {
        Click click = element.getValue();
        ProductPrices pane = known;
        if (pane != null && wasSilent(pane.newestTimestamp(), click.timestamp())) {
            forgotten();
            pane = null;
        }
        if (pane == null) {
            pane = new ProductPrices(click.timestamp());
        }
        pane.add(click.price(), click.timestamp());
        if (pane.prices().total() < paneSize) {
            return pane;
        }
        fire(click, pane);
        return new ProductPrices(pane.newestTimestamp());
    }

    @Override
    protected void forgotten() {
        earlier.clear();
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
}
