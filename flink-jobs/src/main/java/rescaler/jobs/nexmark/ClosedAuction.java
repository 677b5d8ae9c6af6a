package rescaler.jobs.nexmark;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/**
 * An auction that has ended.
 *
 * @param subject the category of its item (Q4) or its seller (Q6)
 * @param price the highest bid that counted, or the initial price if there was none, cents
 * @param end ms since the epoch
 * @param newestIngestionTime newest ingestion time of the auction and the winning bid, ms since the epoch
 */
record ClosedAuction(long auctionId, long subject, long price, long end, long newestIngestionTime) {
    static final RecordType<ClosedAuction> TYPE = RecordType.of(ClosedAuction.class, new Format());

    /** Serialised fields in order. */
    public static final class Format implements RecordFormat<ClosedAuction> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(ClosedAuction value, DataOutputView out) throws IOException {
            out.writeLong(value.auctionId);
            out.writeLong(value.subject);
            out.writeLong(value.price);
            out.writeLong(value.end);
            out.writeLong(value.newestIngestionTime);
        }

        @Override
        public ClosedAuction read(int version, DataInputView in) throws IOException {
            return new ClosedAuction(in.readLong(), in.readLong(), in.readLong(), in.readLong(), in.readLong());
        }
    }
}
