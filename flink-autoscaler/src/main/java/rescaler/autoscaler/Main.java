package rescaler.autoscaler;

import java.time.Duration;
import org.apache.flink.configuration.Configuration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Entry class: runs Apache's autoscaler for one job, a round every interval, until the process is ended.
 *
 * <p>It keeps its state in memory: a new process begins as if it had never seen the job. A round that fails is logged, and the
 * next one comes as if nothing had been.
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
