package rescaler.autoscaler;

import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import org.apache.flink.util.TimeUtils;

/**
 * The program's arguments.
 *
 * @param flink URL of Flink's REST interface
 * @param job the job, by name or by id
 * @param options file of {@code job.autoscaler.} options
 * @param interval decision interval
 * @param compression divisor of windows and waits
 */
record Arguments(URI flink, String job, Path options, Duration interval, double compression) {
    static final String USAGE =
            "usage: --flink URL --job NAME|ID --options FILE [--interval TIME] [--compression FACTOR]";

    static Arguments parse(String[] arguments) {
        String flink = null;
        String job = null;
        String options = null;
        String interval = "10 s"; // the default of Apache's standalone autoscaler
        String compression = "1";
        for (int index = 0; index < arguments.length; index += 2) {
            String value = value(arguments, index + 1);
            switch (arguments[index]) {
                case "--flink" -> flink = value;
                case "--job" -> job = value;
                case "--options" -> options = value;
                case "--interval" -> interval = value;
                case "--compression" -> compression = value;
                default -> throw refused("unknown argument \"" + arguments[index] + "\"");
            }
        }
        if (flink == null || job == null || options == null) {
            throw refused("--flink, --job and --options are needed");
        }
        return new Arguments(
                URI.create(flink.replaceAll("/+$", "")), job, Path.of(options), time(interval), factor(compression));
    }

    private static Duration time(String text) {
        Duration time = TimeUtils.parseDuration(text);
        if (time.isZero() || time.isNegative()) {
            throw refused("--interval must be above 0");
        }
        return time;
    }

    private static double factor(String text) {
        double factor = Double.parseDouble(text);
        if (!(factor >= 1) || Double.isInfinite(factor)) {
            throw refused("--compression must be a number from 1");
        }
        return factor;
    }

    private static String value(String[] arguments, int index) {
        if (index >= arguments.length) {
            throw refused(arguments[index - 1] + " needs a value");
        }
        return arguments[index];
    }

    private static IllegalArgumentException refused(String problem) {
        return new IllegalArgumentException(problem + "; " + USAGE);
    }
}
