package rescaler.jobs.state;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.junit.jupiter.api.Test;

/** Goal: the table counts like a map of boxed numbers. */
class LongCountsTest {
    @Test
    void countsAgreeWithAMap() throws IOException {
        Random random = new Random(7);
        for (int round = 0; round < 50; round++) {
            LongCounts counts = new LongCounts();
            Map<Long, Long> expected = new TreeMap<>();
            for (int index = 0; index < random.nextInt(2000); index++) {
                long number = random.nextBoolean() ? random.nextInt(200) - 100 : random.nextLong();
                counts.add(number, 1 + index % 3);
                expected.merge(number, 1L + index % 3, Long::sum);
            }
            assertEquals(expected, entries(counts));
            assertEquals(expected, entries(copy(counts)));
            assertEquals(expected.values().stream().mapToLong(count -> count).sum(), copy(counts).total());
            assertEquals(0, counts.count(12345));
        }
    }

    @Test
    void theMostFrequentComeInOrder() {
        LongCounts counts = new LongCounts();
        assertArrayEquals(new long[0], counts.mostFrequent());
        for (long number : new long[] {5, -1, 0, 5, 0, 7}) {
            counts.add(number, 1);
        }
        assertArrayEquals(new long[] {0, 5}, counts.mostFrequent());
    }

    @Test
    void extremeValuesHaveAMedian() {
        LongCounts counts = new LongCounts();
        counts.add(Long.MAX_VALUE, 1);
        assertEquals((double) Long.MAX_VALUE, counts.median());
        counts.add(Long.MIN_VALUE, 1);
        assertEquals(0, counts.median());
    }

    private static Map<Long, Long> entries(LongCounts counts) {
        Map<Long, Long> entries = new TreeMap<>();
        counts.forEach(entries::put);
        assertEquals(entries.size(), counts.size());
        return entries;
    }

    private static LongCounts copy(LongCounts counts) throws IOException {
        DataOutputSerializer out = new DataOutputSerializer(64);
        counts.write(out);
        return LongCounts.read(new DataInputDeserializer(out.getCopyOfBuffer()));
    }
}
