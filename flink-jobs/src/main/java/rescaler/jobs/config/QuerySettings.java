package rescaler.jobs.config;

import java.util.Map;

/** The options of one enabled query, all present. */
public record QuerySettings(Map<QueryOption, Long> options) {
    public long get(QueryOption option) {
        Long value = options.get(option);
        if (value == null) {
            throw new IllegalArgumentException("the query takes no option " + option.key());
        }
        return value;
    }
}
