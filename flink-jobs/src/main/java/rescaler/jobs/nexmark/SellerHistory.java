package rescaler.jobs.nexmark;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/** A seller's last closing prices, and closed auctions that are not due yet. */
final class SellerHistory {
    static final RecordType<SellerHistory> TYPE = RecordType.of(SellerHistory.class, new Format());

    private static final Comparator<ClosedAuction> BY_END =
            Comparator.comparingLong(ClosedAuction::end).thenComparingLong(ClosedAuction::auctionId);

    private final List<ClosedAuction> pending = new ArrayList<>(1);
    private final Deque<Long> prices = new ArrayDeque<>(4);
    private long sinceFiring;
    private long lastEnd = Long.MIN_VALUE;
    private long newestEnd = Long.MIN_VALUE;

    /** Returns the end of the newest auction, ms since the epoch. */
    long newestEnd() {
        return newestEnd;
    }

    void add(ClosedAuction closed) {
        pending.add(closed);
        newestEnd = Math.max(newestEnd, closed.end());
    }

    /** Removes the auctions that ended by then, ordered by end, then by id. */
    List<ClosedAuction> takeEndedBy(long time) {
        List<ClosedAuction> ended = new ArrayList<>(pending.size());
        for (Iterator<ClosedAuction> left = pending.iterator(); left.hasNext(); ) {
            ClosedAuction closed = left.next();
            if (closed.end() <= time) {
                ended.add(closed);
                left.remove();
            }
        }
        ended.sort(BY_END);
        return ended;
    }

    boolean hasPrices() {
        return !prices.isEmpty();
    }

    /** Returns the end of the auction with the window's newest price, ms since the epoch. */
    long lastEnd() {
        return lastEnd;
    }

    /** Clears the window; auctions that are not due yet stay. */
    void forgetPrices() {
        prices.clear();
        sinceFiring = 0;
    }

    /** Moves the window by one price. Returns whether it fires: once per {@code slide} prices. */
    boolean slide(ClosedAuction closed, long size, long slide) {
        lastEnd = closed.end();
        prices.addLast(closed.price());
        if (prices.size() > size) {
            prices.removeFirst();
        }
        sinceFiring++;
        if (sinceFiring < slide) {
            return false;
        }
        sinceFiring = 0;
        return true;
    }

    /** Returns the number of prices in the window. */
    int size() {
        return prices.size();
    }

    double average() {
        long sum = 0;
        for (long price : prices) {
            sum += price;
        }
        return (double) sum / prices.size();
    }

    /** Serialised seller. */
    public static final class Format implements RecordFormat<SellerHistory> {
        private static final long serialVersionUID = 1L;
        private static final ClosedAuction.Format CLOSED = new ClosedAuction.Format();

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(SellerHistory history, DataOutputView out) throws IOException {
            out.writeLong(history.sinceFiring);
            out.writeLong(history.lastEnd);
            out.writeLong(history.newestEnd);
            out.writeInt(history.prices.size());
            for (long price : history.prices) {
                out.writeLong(price);
            }
            out.writeInt(history.pending.size());
            for (ClosedAuction closed : history.pending) {
                CLOSED.write(closed, out);
            }
        }

        @Override
        public SellerHistory read(int version, DataInputView in) throws IOException {
            SellerHistory history = new SellerHistory();
            history.sinceFiring = in.readLong();
            history.lastEnd = in.readLong();
            history.newestEnd = in.readLong();
            for (int left = in.readInt(); left > 0; left--) {
                history.prices.addLast(in.readLong());
            }
            for (int left = in.readInt(); left > 0; left--) {
                history.pending.add(CLOSED.read(1, in));
            }
            return history;
        }

        /** Histories are mutable, so a copy is made through their bytes. */
        @Override
        public SellerHistory copy(SellerHistory history) {
            return copyThroughBytes(history);
        }
    }
}
