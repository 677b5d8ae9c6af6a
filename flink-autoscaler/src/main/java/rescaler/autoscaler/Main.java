package rescaler.autoscaler;

import java.time.Duration;
import org.apache.flink.configuration.Configuration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Entry class: runs Apache's autoscaler for one job, one round per interval, until the process is stopped.
 *
 * <p>State is kept in memory: a new process starts without history. A failed round is logged and skipped.
 */
public final class Main {
    private static final Logger LOG = LoggerFactory.getLogger(Main.class);

    private Main() {}

    public static void main(String[] args) throws Exception {
        Arguments arguments;
        Configuration options;
        try {
            arguments = Arguments.parse(args);
            options = OptionFile.read(arguments.options(), arguments.compression());
        } catch (IllegalArgumentException | java.io.IOException error) {
            System.err.println("flink-autoscaler-driver: " + error.getMessage());
            System.exit(2);
            return;
        }
        LOG.info("{} with {}", arguments, options);
        Driver driver = new Driver(arguments.flink(), arguments.job(), options);
        run(driver, arguments.interval());
    }

    private static void run(Driver driver, Duration interval) throws InterruptedException {
        long next = System.nanoTime();
        while (true) {
            try {
                if (!driver.round()) {
                    LOG.info("there is no such job");
                }
            } catch (InterruptedException error) {
                throw error;
            } catch (Exception error) {
                LOG.warn("a round failed", error);
            }
            next = Math.max(next + interval.toNanos(), System.nanoTime());
            Thread.sleep(Math.max(0, (next - System.nanoTime()) / 1_000_000));
        }
    }
}
