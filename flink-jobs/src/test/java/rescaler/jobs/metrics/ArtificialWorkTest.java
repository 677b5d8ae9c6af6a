package rescaler.jobs.metrics;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import rescaler.jobs.config.WorkSettings;

/** Goal: the cost of many records is what was asked for, although no sleep is that short or that exact. */
class ArtificialWorkTest {
    @Test
    void waitingAddsUp() {
        long tookMs = timeMs(new ArtificialWork(new WorkSettings(0, 100)), 4000);
        assertTrue(tookMs >= 390 && tookMs < 800, "4000 records of 100 µs took " + tookMs + " ms");
    }

    @Test
    void spinningAddsUp() {
        long tookMs = timeMs(new ArtificialWork(new WorkSettings(50, 0)), 4000);
        assertTrue(tookMs >= 200 && tookMs < 800, "4000 records of 50 µs took " + tookMs + " ms");
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
