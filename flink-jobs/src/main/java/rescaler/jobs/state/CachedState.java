package rescaler.jobs.state;

import java.io.IOException;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;

/**
 * Keyed state with a write-back cache: values of busy keys stay as objects between checkpoints.
 *
 * <p>Reading and writing RocksDB for each record costs microseconds, mostly for serialisation. Here a value is
 * written at a checkpoint ({@link #flush}) or when it is evicted as the least recently used one. A key that comes
 * and goes between two checkpoints never reaches RocksDB. After a restart the cache is empty and the state is
 * complete, so rescaling is left to Flink.
 *
 * <p>The caller may change the cached object, and must {@link #put} it back afterwards. This relies on a state
 * backend that stores bytes, like RocksDB, and not the objects themselves.
 */
public final class CachedState<V> {
    private final AbstractStreamOperator<?> operator;
    private final ValueState<V> state;
    private final int capacity;
    private final LinkedHashMap<Object, Entry<V>> entries = new LinkedHashMap<>(64, 0.75f, true);

    /**
     * @param operator whose current key every call refers to
     * @param capacity number of cached values, at least 1
     */
    public CachedState(AbstractStreamOperator<?> operator, ValueState<V> state, int capacity) {
        this.operator = operator;
        this.state = state;
        this.capacity = capacity;
    }

    /** Returns the current key's value, or null. */
    public V get() throws IOException {
        Object key = operator.getCurrentKey();
        Entry<V> entry = entries.get(key);
        if (entry != null) {
            return entry.value;
        }
        V stored = state.value();
        if (stored != null) {
            insert(key, new Entry<>(stored, false, true));
        }
        return stored;
    }

    /** Sets the current key's value. */
    public void put(V value) throws IOException {
        Object key = operator.getCurrentKey();
        Entry<V> entry = entries.get(key);
        if (entry == null) {
            insert(key, new Entry<>(value, true, false));
        } else {
            entry.value = value;
            entry.dirty = true;
        }
    }

    /** Removes the current key's value, which must have been read before or be absent from the state. */
    public void remove() {
        Entry<V> entry = entries.remove(operator.getCurrentKey());
        if (entry == null || entry.stored) {
            state.clear();
        }
    }

    /** Writes all cached changes to the state; the operator's current key is lost. */
    public void flush() throws IOException {
        for (Map.Entry<Object, Entry<V>> entry : entries.entrySet()) {
            write(entry.getKey(), entry.getValue());
        }
    }

    private void insert(Object key, Entry<V> entry) throws IOException {
        entries.put(key, entry);
        if (entries.size() > capacity) {
            Iterator<Map.Entry<Object, Entry<V>>> eldestFirst = entries.entrySet().iterator();
            Map.Entry<Object, Entry<V>> eldest = eldestFirst.next();
            eldestFirst.remove();
            write(eldest.getKey(), eldest.getValue());
            operator.setCurrentKey(key);
        }
    }

    private void write(Object key, Entry<V> entry) throws IOException {
        if (entry.dirty) {
            operator.setCurrentKey(key);
            state.update(entry.value);
            entry.dirty = false;
            entry.stored = true;
        }
    }

    /** A value, whether it differs from the state, and whether the state has one for this key. */
    private static final class Entry<V> {
        private V value;
        private boolean dirty;
        private boolean stored;

        Entry(V value, boolean dirty, boolean stored) {
            this.value = value;
            this.dirty = dirty;
            this.stored = stored;
        }
    }
}
