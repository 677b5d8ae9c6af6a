package rescaler.autoscaler;

import java.io.IOException;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.util.TimeUtils;

/**
 * A file of the autoscaler's options, one {@code key: value} per line. Load-related durations (windows and waits)
 * can be compressed with the load. Machine-related ones (restart time, catch-up time, lag threshold) are unchanged.
 */
final class OptionFile {
    private static final String PREFIX = "job.autoscaler.";
    /** Options that are load-related durations. */
    private static final Set<String> COMPRESSED = Set.of(
            PREFIX + "metrics.window", PREFIX + "stabilization.interval", PREFIX + "scale-down.interval");

    /** Lower bound of compressed durations: after a change Flink's metrics need this long, whatever the load. */
    private static final Duration LEAST = Duration.ofSeconds(10);

    private static final Pattern TIME = Pattern.compile("\\d+\\s*(ms|s|sec|min|m|h|d)");

    private OptionFile() {}

    static Configuration read(Path file, double compression) throws IOException {
        Properties written = new Properties();
        try (Reader reader = Files.newBufferedReader(file, StandardCharsets.UTF_8)) {
            written.load(reader);
        }
        TreeMap<String, String> options = new TreeMap<>();
        for (String key : written.stringPropertyNames()) {
            if (!key.startsWith(PREFIX)) {
                throw new IllegalArgumentException(
                        file + ": " + key + " is no option of the autoscaler; its options begin with " + PREFIX);
            }
            String value = written.getProperty(key).strip();
            options.put(key, COMPRESSED.contains(key) ? compressed(value, compression) : value);
        }
        return Configuration.fromMap(options);
    }

    /** Divides a duration by the factor, down to the lower bound; any other value is unchanged. */
    static String compressed(String value, double compression) {
        if (compression == 1 || !TIME.matcher(value).matches()) {
            return value;
        }
        long time = TimeUtils.parseDuration(value).toMillis();
        long compressed = Math.max(Math.round(time / compression), LEAST.toMillis());
        return Math.min(time, compressed) + " ms";
    }
}
