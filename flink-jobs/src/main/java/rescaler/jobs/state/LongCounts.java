package rescaler.jobs.state;

import java.io.IOException;
import java.util.Arrays;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/**
 * Counts of numbers: a hash table of primitives, without an object per entry.
 *
 * <p>Open addressing with linear probing, at most three quarters full. A slot is empty where the count is 0, so
 * counts are at least 1 and entries cannot be removed.
 */
public final class LongCounts {
    private static final int SMALLEST = 4;

    private long[] numbers = new long[SMALLEST];
    private long[] counts = new long[SMALLEST];
    private int size;
    private long total;

    /** Callback for each entry. */
    @FunctionalInterface
    public interface Visitor {
        void visit(long number, long count);
    }

    /** Adds {@code times}, at least 1, to the number's count. */
    public void add(long number, long times) {
        if (4 * (size + 1) > 3 * numbers.length) {
            grow();
        }
        int slot = slotOf(number);
        if (counts[slot] == 0) {
            numbers[slot] = number;
            size++;
        }
        counts[slot] += times;
        total += times;
    }

    public void addAll(LongCounts other) {
        other.forEach(this::add);
    }

    /** Returns the number of distinct numbers. */
    public int size() {
        return size;
    }

    /** Returns the sum of all counts. */
    public long total() {
        return total;
    }

    /** Visits every entry, in no particular order. */
    public void forEach(Visitor visitor) {
        for (int slot = 0; slot < counts.length; slot++) {
            if (counts[slot] != 0) {
                visitor.visit(numbers[slot], counts[slot]);
            }
        }
    }

    /** Returns the most frequent numbers, in ascending order; empty if nothing was counted. */
    public long[] mostFrequent() {
        long most = Arrays.stream(counts).max().orElse(0);
        long[] found = new long[size];
        int ties = 0;
        for (int slot = 0; slot < counts.length; slot++) {
            if (counts[slot] == most && most > 0) {
                found[ties++] = numbers[slot];
            }
        }
        long[] sorted = Arrays.copyOf(found, ties);
        Arrays.sort(sorted);
        return sorted;
    }

    /** Returns the count of the number. */
    public long count(long number) {
        return counts[slotOf(number)];
    }

    /**
     * Returns the median: of an even number of values the mean of the two in the middle. There must be at least one.
     */
    public double median() {
        long[] sorted = new long[size];
        int[] filled = {0};
        forEach((number, count) -> sorted[filled[0]++] = number);
        Arrays.sort(sorted);
        long lower = numberAt(sorted, (total - 1) / 2);
        long upper = numberAt(sorted, total / 2);
        return lower == upper ? lower : ((double) lower + upper) / 2;
    }

    private long numberAt(long[] sorted, long position) {
        long passed = 0;
        for (long number : sorted) {
            passed += count(number);
            if (position < passed) {
                return number;
            }
        }
        throw new IllegalStateException("position " + position + " of " + total + " values");
    }

    public void write(DataOutputView out) throws IOException {
        out.writeInt(size);
        for (int slot = 0; slot < counts.length; slot++) {
            if (counts[slot] != 0) {
                out.writeLong(numbers[slot]);
                out.writeLong(counts[slot]);
            }
        }
    }

    public static LongCounts read(DataInputView in) throws IOException {
        LongCounts read = new LongCounts();
        for (int left = in.readInt(); left > 0; left--) {
            long number = in.readLong();
            read.add(number, in.readLong());
        }
        return read;
    }

    private int slotOf(long number) {
        int mask = numbers.length - 1;
        long mixed = number * 0x9E3779B97F4A7C15L; // 2^64 divided by the golden ratio: spreads consecutive ids
        int slot = (int) (mixed >>> 32) & mask;
        while (counts[slot] != 0 && numbers[slot] != number) {
            slot = (slot + 1) & mask;
        }
        return slot;
    }

    private void grow() {
        long[] oldNumbers = numbers;
        long[] oldCounts = counts;
        numbers = new long[2 * oldNumbers.length];
        counts = new long[2 * oldCounts.length];
        for (int old = 0; old < oldCounts.length; old++) {
            if (oldCounts[old] != 0) {
                int slot = slotOf(oldNumbers[old]);
                numbers[slot] = oldNumbers[old];
                counts[slot] = oldCounts[old];
            }
        }
    }
}
