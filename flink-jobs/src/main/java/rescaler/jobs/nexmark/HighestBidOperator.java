package rescaler.jobs.nexmark;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.operators.AllWindowOperator;
import rescaler.jobs.operators.Fired;
import rescaler.jobs.operators.JsonRow;
import rescaler.jobs.operators.StoredPane;
import rescaler.jobs.operators.Windows;
import rescaler.jobs.state.RecordFormat;

/** {@code q7-highest-bid}: the window's highest bid with its item; of equally high ones the lowest bid id. */
final class HighestBidOperator extends AllWindowOperator<ItemBid, HighestBidOperator.Highest> {
    private static final long serialVersionUID = 1L;

    HighestBidOperator(OperatorSettings settings, long windowSizeMs) {
        super(settings, Windows.tumbling(windowSizeMs), new Format());
    }

    @Override
    protected Highest newPane() {
        return new Highest();
    }

    @Override
    protected void add(Highest pane, ItemBid bid) {
        pane.add(bid);
    }

    @Override
    protected long ingestionTime(ItemBid bid) {
        return bid.newestIngestionTime();
    }

    @Override
    protected Fired fire(long windowEnd, Iterable<Highest> contents) {
        Highest window = contents.iterator().next(); // a tumbling window is a single pane
        JsonRow row = new JsonRow("q7")
                .with("window_end", windowEnd)
                .with("item_id", window.bid.itemId())
                .with("bid_id", window.bid.bidId())
                .with("price", window.bid.price());
        emit(row, windowEnd);
        return new Fired(window.records, window.newestIngestionTime);
    }

    /** The highest bid so far, the number of bids, and the newest ingestion time. */
    static final class Highest {
        private ItemBid bid;
        private long records;
        private long newestIngestionTime = Long.MIN_VALUE;

        private void add(ItemBid other) {
            if (bid == null || other.beats(bid)) {
                bid = other;
            }
            records++;
            newestIngestionTime = Math.max(newestIngestionTime, other.newestIngestionTime());
        }
    }

    /** Serialised pane; a pane without a bid is never created. */
    public static final class Format implements RecordFormat<StoredPane<Highest>> {
        private static final long serialVersionUID = 1L;
        private static final ItemBid.Format BID = new ItemBid.Format();

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(StoredPane<Highest> stored, DataOutputView out) throws IOException {
            out.writeLong(stored.start());
            out.writeLong(stored.pane().records);
            out.writeLong(stored.pane().newestIngestionTime);
            BID.write(stored.pane().bid, out);
        }

        @Override
        public StoredPane<Highest> read(int version, DataInputView in) throws IOException {
            long start = in.readLong();
            Highest pane = new Highest();
            pane.records = in.readLong();
            pane.newestIngestionTime = in.readLong();
            pane.bid = BID.read(1, in);
            return new StoredPane<>(start, pane);
        }
    }
}
