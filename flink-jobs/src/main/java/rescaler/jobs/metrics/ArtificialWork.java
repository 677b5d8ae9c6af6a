package rescaler.jobs.metrics;

import java.util.concurrent.locks.LockSupport;
import rescaler.jobs.config.WorkSettings;

/**
 * Makes every record cost time: spinning uses a core, waiting does not.
 *
 * <p>A sleep cannot be shorter than some 60 µs and always takes longer than asked, so waiting is owed and paid in naps of
 * two milliseconds; what a nap took too long counts towards the next one. A checkpoint barrier waits for one nap at most
 * (or for one record's whole wait, where that is longer).
 */
public final class ArtificialWork {
    /** Long enough that its inaccuracy is small, short enough that nobody waits for it. */
    private static final long NAP_NANOS = 2_000_000;

    /** What a nap took too long counts up to this: a pause of the whole machine is not followed by a rush. */
    private static final long MOST_CREDIT_NANOS = 100_000_000;

    private final long spinNanos;
    private final long waitNanos;
    private long owedNanos;

    public ArtificialWork(WorkSettings settings) {
        spinNanos = settings.cpuMicros() * 1000;
        waitNanos = settings.waitMicros() * 1000;
    }

    /** Spends one record's cost. */
    public void spend() {
        if (spinNanos > 0) {
            spin();
        }
        if (waitNanos > 0) {
            owedNanos += waitNanos;
            if (owedNanos >= NAP_NANOS) {
                nap();
            }
        }
    }

    private void spin() {
        long start = System.nanoTime();
        while (System.nanoTime() - start < spinNanos) {
            Thread.onSpinWait();
        }
    }

    /** Returns early when the task is interrupted, and leaves the interrupt to it. */
    private void nap() {
        long start = System.nanoTime();
        long slept = 0;
        while (slept < owedNanos && !Thread.currentThread().isInterrupted()) {
            LockSupport.parkNanos(owedNanos - slept);
            slept = System.nanoTime() - start;
        }
        owedNanos = Math.max(owedNanos - slept, -MOST_CREDIT_NANOS);
    }
}
