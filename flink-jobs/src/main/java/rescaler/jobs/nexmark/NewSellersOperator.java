package rescaler.jobs.nexmark;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.streaming.api.operators.TwoInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.types.StringValue;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.events.Auction;
import rescaler.jobs.events.Person;
import rescaler.jobs.operators.Fired;
import rescaler.jobs.operators.JsonRow;
import rescaler.jobs.operators.KeyedWindowOperator;
import rescaler.jobs.operators.PanesFormat;
import rescaler.jobs.operators.Windows;

/**
 * {@code q8-new-sellers}: persons who registered and opened an auction in the same window, one row per auction;
 * keyed by person and seller. Rows of a person are ordered by auction id.
 */
final class NewSellersOperator extends KeyedWindowOperator<NewSellersOperator.Seller>
        implements TwoInputStreamOperator<Person, Auction, byte[]> {
    private static final long serialVersionUID = 1L;

    NewSellersOperator(OperatorSettings settings, long windowSizeMs) {
        super(settings, 2, Windows.tumbling(windowSizeMs), new Format());
    }

    @Override
    public void processElement1(StreamRecord<Person> element) throws Exception {
        Person person = element.getValue();
        long begun = probe.begin(0, person.ingestionTime());
        work.spend();
        Seller seller = paneAt(person.timestamp());
        if (seller != null) {
            seller.name = person.name();
            seller.counted(person.ingestionTime());
        }
        probe.end(0, begun);
    }

    @Override
    public void processElement2(StreamRecord<Auction> element) throws Exception {
        Auction auction = element.getValue();
        long begun = probe.begin(1, auction.ingestionTime());
        work.spend();
        Seller seller = paneAt(auction.timestamp());
        if (seller != null) {
            seller.opened(auction.auctionId());
            seller.counted(auction.ingestionTime());
        }
        probe.end(1, begun);
    }

    @Override
    protected Seller newPane() {
        return new Seller();
    }

    @Override
    protected Fired fire(long personId, long windowEnd, List<Seller> contents) {
        Seller seller = contents.get(0); // a tumbling window is a single pane
        if (seller.name != null) {
            long[] auctionIds = Arrays.copyOf(seller.auctionIds, seller.auctions);
            Arrays.sort(auctionIds);
            for (long auctionId : auctionIds) {
                JsonRow row = new JsonRow("q8")
                        .with("window_end", windowEnd)
                        .with("person_id", personId)
                        .with("name", seller.name)
                        .with("auction_id", auctionId);
                emit(row, windowEnd);
            }
        }
        return new Fired(seller.records, seller.newestIngestionTime);
    }

    /** Activity of one person within one window. */
    static final class Seller {
        private static final long[] NONE = new long[0];

        /** Null if the person did not register in this window. */
        private String name;
        private long[] auctionIds = NONE;
        private int auctions;
        private long records;
        private long newestIngestionTime = Long.MIN_VALUE;

        private void opened(long auctionId) {
            if (auctions == auctionIds.length) {
                auctionIds = Arrays.copyOf(auctionIds, Math.max(2, 2 * auctions));
            }
            auctionIds[auctions++] = auctionId;
        }

        private void counted(long ingestionTime) {
            records++;
            newestIngestionTime = Math.max(newestIngestionTime, ingestionTime);
        }
    }

    /** Serialised window of a person. */
    public static final class Format extends PanesFormat<Seller> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        protected void writePane(Seller seller, DataOutputView out) throws IOException {
            out.writeLong(seller.records);
            out.writeLong(seller.newestIngestionTime);
            out.writeInt(seller.auctions);
            for (int index = 0; index < seller.auctions; index++) {
                out.writeLong(seller.auctionIds[index]);
            }
            out.writeBoolean(seller.name != null);
            if (seller.name != null) {
                StringValue.writeString(seller.name, out);
            }
        }

        @Override
        protected Seller readPane(int version, DataInputView in) throws IOException {
            Seller seller = new Seller();
            seller.records = in.readLong();
            seller.newestIngestionTime = in.readLong();
            for (int left = in.readInt(); left > 0; left--) {
                seller.opened(in.readLong());
            }
            seller.name = in.readBoolean() ? StringValue.readString(in) : null;
            return seller;
        }
    }
}
