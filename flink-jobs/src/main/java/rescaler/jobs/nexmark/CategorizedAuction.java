package rescaler.jobs.nexmark;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/**
 * An auction with the category of its item.
 *
 * @param timestamp the later of the auction's and its item's, ms since the epoch
 * @param initialPrice price without any bid, cents
 * @param start bids count from this moment on, ms since the epoch
 * @param end bids at or after this moment do not count, ms since the epoch
 * @param newestIngestionTime newest ingestion time of the auction and its item, ms since the epoch
 */
record CategorizedAuction(
        long timestamp,
        long auctionId,
        long categoryId,
        long initialPrice,
        long start,
        long end,
        long newestIngestionTime) {
    static final RecordType<CategorizedAuction> TYPE = RecordType.of(CategorizedAuction.class, new Format());

    /** Serialised fields in order. */
    public static final class Format implements RecordFormat<CategorizedAuction> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(CategorizedAuction value, DataOutputView out) throws IOException {
            out.writeLong(value.timestamp);
            out.writeLong(value.auctionId);
            out.writeLong(value.categoryId);
            out.writeLong(value.initialPrice);
            out.writeLong(value.start);
            out.writeLong(value.end);
            out.writeLong(value.newestIngestionTime);
        }

        @Override
        public CategorizedAuction read(int version, DataInputView in) throws IOException {
            return new CategorizedAuction(
                    in.readLong(), in.readLong(), in.readLong(), in.readLong(), in.readLong(), in.readLong(), in.readLong());
        }
    }
}
