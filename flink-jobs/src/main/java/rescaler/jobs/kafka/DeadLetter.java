package rescaler.jobs.kafka;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.types.StringValue;
import rescaler.jobs.events.MalformedEventException;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/**
 * A record that is not an event, with the problem and its offset.
 *
 * @param problem short name of the problem
 * @param problemOffset offset in the record, bytes
 * @param message description of the problem
 */
record DeadLetter(RawRecord record, String problem, int problemOffset, String message) {
    static final RecordType<DeadLetter> TYPE = RecordType.of(DeadLetter.class, new Format());

    static DeadLetter of(RawRecord record, MalformedEventException problem) {
        return new DeadLetter(record, problem.problem().label(), problem.offset(), problem.getMessage());
    }

    /** Serialised fields in order. */
    public static final class Format implements RecordFormat<DeadLetter> {
        private static final long serialVersionUID = 1L;
        private static final RawRecord.Format RECORD = new RawRecord.Format();

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(DeadLetter letter, DataOutputView out) throws IOException {
            RECORD.write(letter.record, out);
            StringValue.writeString(letter.problem, out);
            out.writeInt(letter.problemOffset);
            StringValue.writeString(letter.message, out);
        }

        @Override
        public DeadLetter read(int version, DataInputView in) throws IOException {
            return new DeadLetter(
                    RECORD.read(1, in), StringValue.readString(in), in.readInt(), StringValue.readString(in));
        }
    }
}
