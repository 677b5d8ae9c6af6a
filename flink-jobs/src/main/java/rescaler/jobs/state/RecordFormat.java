package rescaler.jobs.state;

import java.io.IOException;
import java.io.Serializable;
import java.io.UncheckedIOException;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.core.memory.DataOutputView;

/**
 * How one type is written to network buffers and state: by hand, without reflection.
 *
 * <p>An implementation is stateless and has a public constructor without arguments, because a savepoint names its class
 * and a later run makes an instance of it. Whoever changes the layout raises {@link #version} and keeps reading the
 * older ones, so that old savepoints restore.
 */
public interface RecordFormat<T> extends Serializable {
    /** The version that {@link #write} writes; at least 1. */
    int version();

    void write(T value, DataOutputView out) throws IOException;

    /** Reads what {@link #write} of that version wrote. */
    T read(int version, DataInputView in) throws IOException;

    /** A copy that shares nothing changeable with the value; the value itself where nothing can change. */
    default T copy(T value) {
        return value;
    }

    /** A copy by way of the bytes, for {@link #copy} of values that change. RocksDB never asks for one. */
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
