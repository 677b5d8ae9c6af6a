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
import rescaler.jobs.state.LongCounts;
import rescaler.jobs.state.RecordFormat;

/**
 * {@code q5-hottest-item}: the item with the most bids in a sliding window; of a tie all items, lowest id first.
 *
 * <p>A bid is counted once, in its pane; a firing sums the window's panes. All items with a bid in the window are on
 * the heap, about 20 to 40 bytes for each pane they occur in.
 */
final class HottestItemOperator extends AllWindowOperator<ItemBid, HottestItemOperator.ItemCounts> {
    private static final long serialVersionUID = 1L;

    HottestItemOperator(OperatorSettings settings, Windows windows) {
        super(settings, windows, new Format());
    }

    @Override
    protected ItemCounts newPane() {
        return new ItemCounts();
    }

    @Override
    protected void add(ItemCounts pane, ItemBid bid) {
        pane.bids.add(bid.itemId(), 1);
        pane.newestIngestionTime = Math.max(pane.newestIngestionTime, bid.newestIngestionTime());
    }

    @Override
    protected long ingestionTime(ItemBid bid) {
        return bid.newestIngestionTime();
    }

    @Override
    protected Fired fire(long windowEnd, Iterable<ItemCounts> contents) {
        LongCounts bids = new LongCounts();
        long newestIngestionTime = Long.MIN_VALUE;
        for (ItemCounts pane : contents) {
            bids.addAll(pane.bids);
            newestIngestionTime = Math.max(newestIngestionTime, pane.newestIngestionTime);
        }
        for (long itemId : bids.mostFrequent()) {
            JsonRow row = new JsonRow("q5")
                    .with("window_end", windowEnd)
                    .with("item_id", itemId)
                    .with("bids", bids.count(itemId));
            emit(row, windowEnd);
        }
        return new Fired(bids.total(), newestIngestionTime);
    }

    /** Bids by item, and the newest ingestion time. */
    static final class ItemCounts {
        private LongCounts bids = new LongCounts();
        private long newestIngestionTime = Long.MIN_VALUE;
    }

    /** Serialised pane. */
    public static final class Format implements RecordFormat<StoredPane<ItemCounts>> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(StoredPane<ItemCounts> stored, DataOutputView out) throws IOException {
            out.writeLong(stored.start());
            out.writeLong(stored.pane().newestIngestionTime);
            stored.pane().bids.write(out);
        }

        @Override
        public StoredPane<ItemCounts> read(int version, DataInputView in) throws IOException {
            long start = in.readLong();
            ItemCounts pane = new ItemCounts();
            pane.newestIngestionTime = in.readLong();
            pane.bids = LongCounts.read(in);
            return new StoredPane<>(start, pane);
        }
    }
}
