package rescaler.jobs.state;

import java.io.IOException;
import java.io.Serializable;
import java.io.UncheckedIOException;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.core.memory.DataOutputView;

/**
 * Hand-written serialisation of one type for network buffers and state, without reflection.
 *
 * <p>An implementation is stateless and has a public constructor without arguments, because a savepoint names its
 * class and a later run instantiates it. A change of the layout must increment {@link #version} and keep reading the
 * older ones, so that old savepoints restore.
 */
public interface RecordFormat<T> extends Serializable {
    /** Returns the version that {@link #write} writes; at least 1. */
    int version();

    void write(T value, DataOutputView out) throws IOException;

    /** Reads what {@link #write} of that version has written. */
    T read(int version, DataInputView in) throws IOException;

    /** Returns a copy that shares no mutable part with the value; the value itself if immutable. */
    default T copy(T value) {
        return value;
    }

    /** Copies through the bytes, for {@link #copy} of mutable values. RocksDB never requests a copy. */
    default T copyThroughBytes(T value) {
        try {
            DataOutputSerializer out = new DataOutputSerializer(128);
            write(value, out);
            return read(version(), new DataInputDeserializer(out.getCopyOfBuffer()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
