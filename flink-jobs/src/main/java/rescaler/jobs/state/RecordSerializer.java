package rescaler.jobs.state;

import java.io.IOException;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** Flink's serializer around a {@link RecordFormat}: reads one version of it, writes the newest. */
public final class RecordSerializer<T> extends TypeSerializer<T> {
    private static final long serialVersionUID = 1L;

    private final RecordFormat<T> format;
    private final int readVersion;

    RecordSerializer(RecordFormat<T> format, int readVersion) {
        this.format = format;
        this.readVersion = readVersion;
    }

    /** Creates the serializer of the format's newest version. */
    public static <T> RecordSerializer<T> of(RecordFormat<T> format) {
        return new RecordSerializer<>(format, format.version());
    }

    RecordFormat<T> format() {
        return format;
    }

    int readVersion() {
        return readVersion;
    }

    @Override
    public boolean isImmutableType() {
        return false;
    }

    @Override
    public TypeSerializer<T> duplicate() {
        return this;
    }

    @Override
    public T createInstance() {
        return null;
    }

    @Override
    public T copy(T from) {
        return format.copy(from);
    }

    @Override
    public T copy(T from, T reuse) {
        return format.copy(from);
    }

    @Override
    public int getLength() {
        return -1;
    }

    @Override
    public void serialize(T value, DataOutputView target) throws IOException {
        format.write(value, target);
    }

    @Override
    public T deserialize(DataInputView source) throws IOException {
        return format.read(readVersion, source);
    }

    @Override
    public T deserialize(T reuse, DataInputView source) throws IOException {
        return format.read(readVersion, source);
    }

    @Override
    public void copy(DataInputView source, DataOutputView target) throws IOException {
        format.write(format.read(readVersion, source), target);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof RecordSerializer<?> that
                && format.getClass() == that.format.getClass()
                && readVersion == that.readVersion;
    }

    @Override
    public int hashCode() {
        return 31 * format.getClass().hashCode() + readVersion;
    }

    @Override
    public TypeSerializerSnapshot<T> snapshotConfiguration() {
        return new RecordSerializerSnapshot<>(format, format.version());
    }
}
