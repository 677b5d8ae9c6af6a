package rescaler.jobs.metrics;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import org.junit.jupiter.api.Test;
import rescaler.jobs.config.WorkSettings;

/** Goal: the total cost of many records is as requested, although no sleep is that short or that exact. */
class ArtificialWorkTest {
    @Test
    void waitingAddsUp() {
        long tookMs = timeMs(new ArtificialWork(new WorkSettings(0, 100)), 10_000);
        assertTrue(tookMs >= 890 && tookMs < 3000, "10,000 records of 100 µs took " + tookMs + " ms");
    }

    /**
     * On a busy machine the thread loses the core while spinning; that takes longer by the clock, but no more CPU
     * time.
     */
    @Test
    void spinningAddsUp() {
        ArtificialWork work = new ArtificialWork(new WorkSettings(100, 0));
        ThreadMXBean threads = ManagementFactory.getThreadMXBean();
        long before = threads.getCurrentThreadCpuTime();
        long tookMs = timeMs(work, 1000);
        long usedMs = (threads.getCurrentThreadCpuTime() - before) / 1_000_000;
        assertTrue(tookMs >= 100 && usedMs < 200, "1,000 records of 100 µs took " + tookMs + " ms, " + usedMs + " of a core");
    }

    @Test
    void anInterruptEndsANapAndIsKept() {
        ArtificialWork work = new ArtificialWork(new WorkSettings(0, 1_000_000));
        Thread.currentThread().interrupt();
        long tookMs = timeMs(work, 1);
        assertTrue(Thread.interrupted(), "the task must see the interrupt");
        assertTrue(tookMs < 900, "the nap went on for " + tookMs + " ms");
    }

    private static long timeMs(ArtificialWork work, int records) {
        long start = System.nanoTime();
        for (int record = 0; record < records; record++) {
            work.spend();
        }
        return (System.nanoTime() - start) / 1_000_000;
    }
}
