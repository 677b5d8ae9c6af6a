package rescaler.jobs.operators;

import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.streaming.api.operators.InternalTimerService;

/**
 * Ends the state of keys without news, where no window does, in event time: the outcome does not depend on when a record
 * happens to be processed. A key has one timer, which is moved on when it comes and there was news.
 */
public final class TimeToLive {
    private final InternalTimerService<VoidNamespace> timers;
    private final long ttlMs;

    /** @param timers of their own, whose owner asks {@link #isOver} when one comes */
    public TimeToLive(InternalTimerService<VoidNamespace> timers, long ttlMs) {
        this.timers = timers;
        this.ttlMs = ttlMs;
    }

    /** To be called when the current key gets state, with the timestamp of its first record. */
    public void begin(long timestamp) {
        timers.registerEventTimeTimer(VoidNamespace.INSTANCE, timestamp + ttlMs);
    }

    /**
     * Whether the current key's state is to be removed.
     *
     * @param now the timer's time, ms since the epoch
     * @param newest timestamp of the key's newest record
     */
    public boolean isOver(long now, long newest) {
        if (newest + ttlMs <= now) {
            return true;
        }
        begin(newest);
        return false;
    }
}
