package rescaler.jobs.metrics;

import java.util.concurrent.locks.LockSupport;
import rescaler.jobs.config.WorkSettings;

/**
 * Artificial cost of records: spinning uses a core, waiting does not.
 *
 * <p>A sleep takes at least about 60 µs and always longer than requested, so waiting time is accumulated and spent
 * in sleeps of two milliseconds; their excess counts towards the next one. A checkpoint barrier waits for at most
 * one sleep (or for one record's whole wait, where that is longer).
 */
public final class ArtificialWork {
    /** Long enough for a small relative error, short enough not to delay other work. */
    private static final long NAP_NANOS = 2_000_000;

    /** Limit of credited excess: a pause of the whole machine must not be followed by a burst. */
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

    /** Returns early when the task is interrupted, and keeps the interrupt flag. */
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
