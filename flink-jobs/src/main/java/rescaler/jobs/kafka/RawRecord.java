package rescaler.jobs.kafka;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.types.StringValue;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/**
 * A raw Kafka record with its position. It exists only between a source and the decoder chained to it.
 *
 * @param value empty if the record had none
 */
record RawRecord(String topic, int partition, long offset, byte[] value) {
    static final RecordType<RawRecord> TYPE = RecordType.of(RawRecord.class, new Format());

    /** Serialised fields in order. */
    public static final class Format implements RecordFormat<RawRecord> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(RawRecord record, DataOutputView out) throws IOException {
            StringValue.writeString(record.topic, out);
            out.writeInt(record.partition);
            out.writeLong(record.offset);
            out.writeInt(record.value.length);
            out.write(record.value);
        }

        @Override
        public RawRecord read(int version, DataInputView in) throws IOException {
            String topic = StringValue.readString(in);
            int partition = in.readInt();
            long offset = in.readLong();
            byte[] value = new byte[in.readInt()];
            in.readFully(value);
            return new RawRecord(topic, partition, offset, value);
        }
    }
}
