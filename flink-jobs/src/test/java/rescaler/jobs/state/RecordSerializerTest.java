package rescaler.jobs.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSchemaCompatibility;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.core.memory.DataOutputView;
import org.junit.jupiter.api.Test;
import rescaler.jobs.events.Bid;
import rescaler.jobs.events.Person;

/** Goal: written values can be read, also by a later version of the format, and never by an earlier one. */
class RecordSerializerTest {
    private static final Person PERSON =
            new Person(1, Long.MIN_VALUE, "Zoë \uD83E\uDD80", "", "x".repeat(100_000), "\u0000", "é", Long.MAX_VALUE);

    @Test
    void recordsComeBackAsTheyWere() throws IOException {
        assertEquals(PERSON, copyOf(PERSON, Person.TYPE.serializer()));
        Bid bid = new Bid(1, 2, 3, 4, 5, 6);
        assertEquals(bid, copyOf(bid, Bid.TYPE.serializer()));
    }

    @Test
    void theSameVersionIsCompatible() throws IOException {
        assertTrue(compatibility(new Second(), new Second()).isCompatibleAsIs());
    }

    @Test
    void anOlderVersionIsMigrated() throws IOException {
        TypeSerializerSnapshot<Long> written = restored(new RecordSerializerSnapshot<>(new Second(), 1));
        DataOutputSerializer out = new DataOutputSerializer(8);
        out.writeInt(7); // what version 1 wrote
        DataInputDeserializer in = new DataInputDeserializer(out.getCopyOfBuffer());
        assertEquals(7L, written.restoreSerializer().deserialize(in));
        TypeSerializerSnapshot<Long> now = RecordSerializer.of(new Second()).snapshotConfiguration();
        assertTrue(now.resolveSchemaCompatibility(written).isCompatibleAfterMigration());
    }

    @Test
    void aNewerVersionOrAnotherFormatIsRefused() throws IOException {
        TypeSerializerSnapshot<Long> newer = restored(new RecordSerializerSnapshot<>(new Second(), 3));
        TypeSerializerSnapshot<Long> now = RecordSerializer.of(new Second()).snapshotConfiguration();
        assertTrue(now.resolveSchemaCompatibility(newer).isIncompatible());
        assertTrue(compatibility(new Second(), new Other()).isIncompatible());
    }

    @Test
    void aFormatThatNoLongerExistsIsNamed() throws IOException {
        DataOutputSerializer out = new DataOutputSerializer(64);
        out.writeUTF("rescaler.jobs.Gone");
        out.writeInt(1);
        DataInputDeserializer in = new DataInputDeserializer(out.getCopyOfBuffer());
        IOException problem = assertThrows(
                IOException.class,
                () -> new RecordSerializerSnapshot<Long>().readSnapshot(1, in, getClass().getClassLoader()));
        assertTrue(problem.getMessage().contains("rescaler.jobs.Gone"), problem.getMessage());
    }

    private static <T> T copyOf(T value, TypeSerializer<T> serializer) throws IOException {
        DataOutputSerializer out = new DataOutputSerializer(64);
        serializer.serialize(value, out);
        DataInputDeserializer in = new DataInputDeserializer(out.getCopyOfBuffer());
        T copy = serializer.deserialize(in);
        assertEquals(0, in.available());
        return copy;
    }

    private static TypeSerializerSchemaCompatibility<Long> compatibility(
            RecordFormat<Long> now, RecordFormat<Long> before) throws IOException {
        TypeSerializerSnapshot<Long> written =
                restored((RecordSerializerSnapshot<Long>) RecordSerializer.of(before).snapshotConfiguration());
        return RecordSerializer.of(now).snapshotConfiguration().resolveSchemaCompatibility(written);
    }

    private static TypeSerializerSnapshot<Long> restored(RecordSerializerSnapshot<Long> snapshot) throws IOException {
        DataOutputSerializer out = new DataOutputSerializer(64);
        snapshot.writeSnapshot(out);
        RecordSerializerSnapshot<Long> restored = new RecordSerializerSnapshot<>();
        restored.readSnapshot(
                snapshot.getCurrentVersion(),
                new DataInputDeserializer(out.getCopyOfBuffer()),
                RecordSerializerTest.class.getClassLoader());
        return restored;
    }

    /** Version 1 wrote an int, version 2 writes a long. */
    public static final class Second implements RecordFormat<Long> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 2;
        }

        @Override
        public void write(Long value, DataOutputView out) throws IOException {
            out.writeLong(value);
        }

        @Override
        public Long read(int version, DataInputView in) throws IOException {
            return version == 1 ? in.readInt() : in.readLong();
        }
    }

    /** Writes another type. */
    public static final class Other implements RecordFormat<Long> {
        private static final long serialVersionUID = 1L;

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void write(Long value, DataOutputView out) throws IOException {
            out.writeUTF(value.toString());
        }

        @Override
        public Long read(int version, DataInputView in) throws IOException {
            return Long.valueOf(in.readUTF());
        }
    }
}
