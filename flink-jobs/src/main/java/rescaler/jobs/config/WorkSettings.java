package rescaler.jobs.config;

import java.io.Serializable;

/**
 * Artificial cost of every record of an operator.
 *
 * @param cpuMicros CPU time of a busy loop, µs
 * @param waitMicros time spent asleep, like an external call, µs
 */
public record WorkSettings(long cpuMicros, long waitMicros) implements Serializable {
    public static final WorkSettings NONE = new WorkSettings(0, 0);

    public boolean isNone() {
        return cpuMicros == 0 && waitMicros == 0;
    }
}
