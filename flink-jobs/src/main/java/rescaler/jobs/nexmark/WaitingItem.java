package rescaler.jobs.nexmark;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/**
 * State of an item that waits for its auction.
 *
 * @param timestamp ms since the epoch
 * @param ingestionTime ms since the epoch
 */
record WaitingItem(long timestamp, long categoryId, long ingestionTime) {
    static final RecordType<WaitingItem> TYPE = RecordType.of(WaitingItem.class, new Format());

    /** Serialised fields in order. */
    public static final class Format implements RecordFormat<WaitingItem> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(WaitingItem value, DataOutputView out) throws IOException {
            out.writeLong(value.timestamp);
            out.writeLong(value.categoryId);
            out.writeLong(value.ingestionTime);
        }

        @Override
        public WaitingItem read(int version, DataInputView in) throws IOException {
            return new WaitingItem(in.readLong(), in.readLong(), in.readLong());
        }
    }
}
