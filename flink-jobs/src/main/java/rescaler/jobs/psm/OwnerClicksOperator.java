package rescaler.jobs.psm;

import java.util.List;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.events.Click;
import rescaler.jobs.operators.Fired;
import rescaler.jobs.operators.JsonRow;
import rescaler.jobs.operators.KeyedWindowOperator;
import rescaler.jobs.operators.Windows;
import rescaler.jobs.state.LongCounts;

/** A shop's clicks within a tumbling window, by category (Q1) or by price (Q3); keyed by owner. */
abstract class OwnerClicksOperator extends KeyedWindowOperator<ClickCounts>
        implements OneInputStreamOperator<Click, byte[]> {
    private static final long serialVersionUID = 1L;

    private OwnerClicksOperator(OperatorSettings settings, long windowSizeMs) {
        super(settings, 1, Windows.tumbling(windowSizeMs), new ClickCounts.Format());
    }

    /** Returns the number by which a click is counted. */
    protected abstract long countedBy(Click click);

    /** Emits the results of an owner's window, which has at least one click. */
    protected abstract void emit(long owner, long windowEnd, LongCounts clicks);

    @Override
    public void processElement(StreamRecord<Click> element) throws Exception {
        Click click = element.getValue();
        long begun = probe.begin(0, click.ingestionTime());
        work.spend();
        ClickCounts pane = paneAt(click.timestamp());
        if (pane != null) {
            pane.add(countedBy(click), click.ingestionTime());
        }
        probe.end(0, begun);
    }

    @Override
    protected ClickCounts newPane() {
        return new ClickCounts();
    }

    @Override
    protected Fired fire(long owner, long windowEnd, List<ClickCounts> contents) {
        ClickCounts window = contents.get(0); // a tumbling window is a single pane
        emit(owner, windowEnd, window.clicks());
        return new Fired(window.clicks().total(), window.newestIngestionTime());
    }

    /** {@code q1-best-category}: the category with the most clicks; of a tie all, lowest number first. */
    static final class BestCategory extends OwnerClicksOperator {
        private static final long serialVersionUID = 1L;

        BestCategory(OperatorSettings settings, long windowSizeMs) {
            super(settings, windowSizeMs);
        }

        @Override
        protected long countedBy(Click click) {
            return click.category();
        }

        @Override
        protected void emit(long owner, long windowEnd, LongCounts clicks) {
            for (long category : clicks.mostFrequent()) {
                JsonRow row = new JsonRow("q1")
                        .with("window_end", windowEnd)
                        .with("owner", owner)
                        .with("category", category)
                        .with("clicks", clicks.count(category));
                emit(row, windowEnd);
            }
        }
    }

    /** {@code q3-owner-median}: the median price of a click. */
    static final class MedianPrice extends OwnerClicksOperator {
        private static final long serialVersionUID = 1L;

        MedianPrice(OperatorSettings settings, long windowSizeMs) {
            super(settings, windowSizeMs);
        }

        @Override
        protected long countedBy(Click click) {
            return click.price();
        }

        @Override
        protected void emit(long owner, long windowEnd, LongCounts clicks) {
            JsonRow row = new JsonRow("q3")
                    .with("window_end", windowEnd)
                    .with("owner", owner)
                    .with("clicks", clicks.total())
                    .with("median_price", clicks.median());
            emit(row, windowEnd);
        }
    }
}
