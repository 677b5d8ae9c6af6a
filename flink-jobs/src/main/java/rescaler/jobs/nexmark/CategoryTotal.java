package rescaler.jobs.nexmark;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/**
 * All closed auctions of a category so far.
 *
 * @param priceSum cents
 * @param newestEnd newest end of a counted auction, ms since the epoch
 */
record CategoryTotal(long auctions, long priceSum, long newestEnd) {
    static final RecordType<CategoryTotal> TYPE = RecordType.of(CategoryTotal.class, new Format());

    /** Returns this total with one more auction. */
    CategoryTotal with(ClosedAuction closed) {
        return new CategoryTotal(auctions + 1, priceSum + closed.price(), Math.max(newestEnd, closed.end()));
    }

    /** Serialised fields in order. */
    public static final class Format implements RecordFormat<CategoryTotal> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(CategoryTotal value, DataOutputView out) throws IOException {
            out.writeLong(value.auctions);
            out.writeLong(value.priceSum);
            out.writeLong(value.newestEnd);
        }

        @Override
        public CategoryTotal read(int version, DataInputView in) throws IOException {
            return new CategoryTotal(in.readLong(), in.readLong(), in.readLong());
        }
    }
}
