package rescaler.jobs.operators;

import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.api.operators.Triggerable;

/** Handles event-time timers; the jobs have no processing-time timers. */
@FunctionalInterface
public interface EventTimer<K> extends Triggerable<K, VoidNamespace> {
    @Override
    default void onProcessingTime(InternalTimer<K, VoidNamespace> timer) {
        throw new IllegalStateException("no timer in processing time is ever registered");
    }
}
