package rescaler.jobs.psm;

import java.io.IOException;
import java.util.List;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.streaming.api.operators.TwoInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.events.Click;
import rescaler.jobs.events.Event;
import rescaler.jobs.operators.Fired;
import rescaler.jobs.operators.JsonRow;
import rescaler.jobs.operators.KeyedWindowOperator;
import rescaler.jobs.operators.PanesFormat;
import rescaler.jobs.operators.Windows;

/**
 * {@code q4-impressions-per-click} and {@code q5-searches-per-click}: the number of events per click, for products
 * with a click in the window; keyed by product.
 *
 * @param <E> type of the events per click
 */
final class PerClickOperator<E extends Event> extends KeyedWindowOperator<PerClickOperator.Counts>
        implements TwoInputStreamOperator<E, Click, byte[]> {
    private static final long serialVersionUID = 1L;

    private final String query;
    private final String counted;

    /**
     * @param query the query's name in results
     * @param counted name of the events of input 1 in results
     */
    PerClickOperator(OperatorSettings settings, Windows windows, String query, String counted) {
        super(settings, 2, windows, new Format());
        this.query = query;
        this.counted = counted;
    }

    @Override
    public void processElement1(StreamRecord<E> element) throws Exception {
        E event = element.getValue();
        long begun = probe.begin(0, event.ingestionTime());
        work.spend();
        Counts pane = paneAt(event.timestamp());
        if (pane != null) {
            pane.events++;
            pane.newestIngestionTime = Math.max(pane.newestIngestionTime, event.ingestionTime());
        }
        probe.end(0, begun);
    }

    @Override
    public void processElement2(StreamRecord<Click> element) throws Exception {
        Click click = element.getValue();
        long begun = probe.begin(1, click.ingestionTime());
        work.spend();
        Counts pane = paneAt(click.timestamp());
        if (pane != null) {
            pane.clicks++;
            pane.newestIngestionTime = Math.max(pane.newestIngestionTime, click.ingestionTime());
        }
        probe.end(1, begun);
    }

    @Override
    protected Counts newPane() {
        return new Counts();
    }

    @Override
    protected Fired fire(long product, long windowEnd, List<Counts> contents) {
        long events = 0;
        long clicks = 0;
        long newestIngestionTime = Long.MIN_VALUE;
        for (Counts pane : contents) {
            events += pane.events;
            clicks += pane.clicks;
            newestIngestionTime = Math.max(newestIngestionTime, pane.newestIngestionTime);
        }
        if (clicks > 0) {
            JsonRow row = new JsonRow(query)
                    .with("window_end", windowEnd)
                    .with("product", product)
                    .with(counted, events)
                    .with("clicks", clicks)
                    .with("ratio", (double) events / clicks);
            emit(row, windowEnd);
        }
        return new Fired(events + clicks, newestIngestionTime);
    }

    /** Numbers of events and clicks of one product and pane, and the newest ingestion time. */
    static final class Counts {
        private long events;
        private long clicks;
        private long newestIngestionTime = Long.MIN_VALUE;
    }

    /** Serialised panes of counts. */
    public static final class Format extends PanesFormat<Counts> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        protected void writePane(Counts pane, DataOutputView out) throws IOException {
            out.writeLong(pane.events);
            out.writeLong(pane.clicks);
            out.writeLong(pane.newestIngestionTime);
        }

        @Override
        protected Counts readPane(int version, DataInputView in) throws IOException {
            Counts pane = new Counts();
            pane.events = in.readLong();
            pane.clicks = in.readLong();
            pane.newestIngestionTime = in.readLong();
            return pane;
        }
    }
}
