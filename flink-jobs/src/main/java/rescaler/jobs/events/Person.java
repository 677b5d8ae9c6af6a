package rescaler.jobs.events;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.types.StringValue;
import rescaler.jobs.state.RecordFormat;
import rescaler.jobs.state.RecordType;

/**
 * A person registered at the auction site.
 *
 * @param timestamp intended time of the event, ms since the epoch
 * @param personId unique among persons
 * @param name full name
 * @param email e-mail address
 * @param creditCard card number
 * @param city city
 * @param state state
 * @param ingestionTime when the source decoded the event, ms since the epoch
 */
public record Person(long timestamp, long personId, String name, String email, String creditCard, String city,
        String state, long ingestionTime)
        implements Event {
    /** Flink's type information of the event. */
    public static final RecordType<Person> TYPE = RecordType.of(Person.class, new Format());

    /** Serialised fields in order. */
    public static final class Format implements RecordFormat<Person> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(Person event, DataOutputView out) throws IOException {
            out.writeLong(event.timestamp);
            out.writeLong(event.personId);
            StringValue.writeString(event.name, out);
            StringValue.writeString(event.email, out);
            StringValue.writeString(event.creditCard, out);
            StringValue.writeString(event.city, out);
            StringValue.writeString(event.state, out);
            out.writeLong(event.ingestionTime);
        }

        @Override
        public Person read(int version, DataInputView in) throws IOException {
            return new Person(
                    in.readLong(),
                    in.readLong(),
                    StringValue.readString(in),
                    StringValue.readString(in),
                    StringValue.readString(in),
                    StringValue.readString(in),
                    StringValue.readString(in),
                    in.readLong());
        }
    }
}
