package rescaler.jobs.psm;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.operators.PanesFormat;
import rescaler.jobs.state.LongCounts;

/** Clicks of one key and pane by category or by price, and the newest ingestion time. */
final class ClickCounts {
    private LongCounts clicks = new LongCounts();
    private long newestIngestionTime = Long.MIN_VALUE;

    void add(long number, long ingestionTime) {
        clicks.add(number, 1);
        newestIngestionTime = Math.max(newestIngestionTime, ingestionTime);
    }

    LongCounts clicks() {
        return clicks;
    }

    long newestIngestionTime() {
        return newestIngestionTime;
    }

    /** Serialised panes of clicks. */
    public static final class Format extends PanesFormat<ClickCounts> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        protected void writePane(ClickCounts pane, DataOutputView out) throws IOException {
            out.writeLong(pane.newestIngestionTime);
            pane.clicks.write(out);
        }

        @Override
        protected ClickCounts readPane(int version, DataInputView in) throws IOException {
            ClickCounts pane = new ClickCounts();
            pane.newestIngestionTime = in.readLong();
            pane.clicks = LongCounts.read(in);
            return pane;
        }
    }
}
