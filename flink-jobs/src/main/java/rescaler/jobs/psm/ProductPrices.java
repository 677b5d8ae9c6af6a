package rescaler.jobs.psm;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.state.LongCounts;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/** The click prices of one product since its window last fired, and the newest click's timestamp. */
final class ProductPrices {
    static final RecordType<ProductPrices> TYPE = RecordType.of(ProductPrices.class, new Format());

    /** The prices of earlier panes, oldest first. */
    static final RecordType<History> HISTORY = RecordType.of(History.class, new HistoryFormat());

    private LongCounts prices = new LongCounts();
    private long newestTimestamp;

    ProductPrices(long timestamp) {
        newestTimestamp = timestamp;
    }

    void add(long price, long timestamp) {
        prices.add(price, 1);
        newestTimestamp = Math.max(newestTimestamp, timestamp);
    }

    LongCounts prices() {
        return prices;
    }

    /** Returns the timestamp of the product's newest click, ms since the epoch. */
    long newestTimestamp() {
        return newestTimestamp;
    }

    /** Full panes of prices, oldest first. */
    record History(List<LongCounts> panes) {
        /** Returns this history with one more pane, of which at most {@code most} are kept. */
        History with(LongCounts pane, int most) {
            List<LongCounts> longer = new ArrayList<>(panes);
            longer.add(pane);
            return new History(longer.subList(Math.max(0, longer.size() - most), longer.size()));
        }
    }

    /** Serialised prices. */
    public static final class Format implements RecordFormat<ProductPrices> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(ProductPrices value, DataOutputView out) throws IOException {
            out.writeLong(value.newestTimestamp);
            value.prices.write(out);
        }

        @Override
        public ProductPrices read(int version, DataInputView in) throws IOException {
            ProductPrices read = new ProductPrices(in.readLong());
            read.prices = LongCounts.read(in);
            return read;
        }

        @Override
        public ProductPrices copy(ProductPrices value) {
            return copyThroughBytes(value);
        }
    }

    /** Serialised history. Its panes are full and immutable. */
    public static final class HistoryFormat implements RecordFormat<History> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(History history, DataOutputView out) throws IOException {
            out.writeInt(history.panes.size());
            for (LongCounts pane : history.panes) {
                pane.write(out);
            }
        }

        @Override
        public History read(int version, DataInputView in) throws IOException {
            int size = in.readInt();
            List<LongCounts> panes = new ArrayList<>(size);
            for (int index = 0; index < size; index++) {
                panes.add(LongCounts.read(in));
            }
            return new History(panes);
        }
    }
}
