package rescaler.jobs.metrics;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import rescaler.jobs.config.WorkSettings;

/** Goal: the cost of many records is what was asked for, although no sleep is that short or that exact. */
class ArtificialWorkTest {
    @Test
    void waitingAddsUp() {
        long tookMs = timeMs(new ArtificialWork(new WorkSettings(0, 100)), 10_000);
        assertTrue(tookMs >= 890 && tookMs < 3000, "10,000 records of 100 µs took " + tookMs + " ms");
    }

    @Test
    void spinningAddsUp() {
        ArtificialWork work = new ArtificialWork(new WorkSettings(100, 0));
        long shortestMs = Long.MAX_VALUE; // the best of several, because others use the cores as well
        for (int round = 0; round < 20; round++) {
            shortestMs = Math.min(shortestMs, timeMs(work, 100));
        }
        assertTrue(shortestMs >= 10 && shortestMs < 20, "100 records of 100 µs took " + shortestMs + " ms at best");
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
