package rescaler.jobs.state;

import org.apache.flink.api.common.serialization.SerializerConfig;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.TypeSerializer;

/**
 * Flink's type information for a type with a {@link RecordFormat}.
 *
 * <p>Every stream and every state names its type explicitly, so that Flink never derives one by reflection.
 */
public final class RecordType<T> extends TypeInformation<T> {
    private static final long serialVersionUID = 1L;

    private final Class<T> type;
    private final RecordFormat<T> format;

    private RecordType(Class<T> type, RecordFormat<T> format) {
        this.type = type;
        this.format = format;
    }

    public static <T> RecordType<T> of(Class<T> type, RecordFormat<T> format) {
        return new RecordType<>(type, format);
    }

    /** Creates the serializer of the newest version. */
    public TypeSerializer<T> serializer() {
        return RecordSerializer.of(format);
    }

    @Override
    public boolean isBasicType() {
        return false;
    }

    @Override
    public boolean isTupleType() {
        return false;
    }

    @Override
    public int getArity() {
        return 1;
    }

    @Override
    public int getTotalFields() {
        return 1;
    }

    @Override
    public Class<T> getTypeClass() {
        return type;
    }

    @Override
    public boolean isKeyType() {
        return false;
    }

    @Override
    public TypeSerializer<T> createSerializer(SerializerConfig config) {
        return serializer();
    }

    @Override
    public String toString() {
        return "RecordType(" + type.getSimpleName() + ")";
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof RecordType<?> that
                && type == that.type
                && format.getClass() == that.format.getClass();
    }

    @Override
    public int hashCode() {
        return 31 * type.hashCode() + format.getClass().hashCode();
    }

    @Override
    public boolean canEqual(Object other) {
        return other instanceof RecordType;
    }
}
