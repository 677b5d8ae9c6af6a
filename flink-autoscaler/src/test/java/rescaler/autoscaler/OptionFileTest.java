package rescaler.autoscaler;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.apache.flink.autoscaler.config.AutoScalerOptions;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Goal: the library accepts the shipped option files, and a factor compresses only load-related durations. */
class OptionFileTest {
    private static final Path SHIPPED = Path.of("../configs/experiments/flink-autoscaler");

    @TempDir
    Path folder;

    @Test
    void theShippedFilesSayWhatTheLibraryReads() throws IOException {
        for (String name : List.of("stock", "fast", "tuned")) {
            Configuration options = OptionFile.read(SHIPPED.resolve(name + ".properties"), 1);
            assertTrue(options.get(AutoScalerOptions.AUTOSCALER_ENABLED), name);
            assertTrue(options.get(AutoScalerOptions.SCALING_ENABLED), name);
            Duration window = options.get(AutoScalerOptions.METRICS_WINDOW);
            assertEquals(name.equals("stock") ? Duration.ofMinutes(15) : Duration.ofSeconds(30), window, name);
        }
        Configuration stock = OptionFile.read(SHIPPED.resolve("stock.properties"), 1);
        assertEquals(
                AutoScalerOptions.SCALE_DOWN_INTERVAL.defaultValue(), stock.get(AutoScalerOptions.SCALE_DOWN_INTERVAL));
        assertEquals(AutoScalerOptions.TARGET_UTILIZATION_BOUNDARY.defaultValue(),
                stock.get(AutoScalerOptions.TARGET_UTILIZATION_BOUNDARY));
    }

    @Test
    void aFactorCompressesTimesOfTheLoad() throws IOException {
        Path file = folder.resolve("options");
        Files.writeString(
                file,
                "# comment\njob.autoscaler.metrics.window: 15 min\njob.autoscaler.scale-down.max-factor: 0.6\n"
                        + "job.autoscaler.restart.time: 5 min\n");
        Configuration options = OptionFile.read(file, 7.5);
        assertEquals(Duration.ofMinutes(2), options.get(AutoScalerOptions.METRICS_WINDOW));
        assertEquals(0.6, options.get(AutoScalerOptions.MAX_SCALE_DOWN_FACTOR));
        assertEquals(Duration.ofMinutes(5), options.get(AutoScalerOptions.RESTART_TIME));
        assertEquals("10000 ms", OptionFile.compressed("30 s", 7.5), "not below what the metrics allow");
        assertEquals("5000 ms", OptionFile.compressed("5 s", 7.5), "never longer");
        assertEquals("30 s", OptionFile.compressed("30 s", 1));
    }

    @Test
    void otherKeysAreRefused() throws IOException {
        Path file = folder.resolve("options");
        Files.writeString(file, "parallelism.default: 3\n");
        var error = assertThrows(IllegalArgumentException.class, () -> OptionFile.read(file, 1));
        assertTrue(error.getMessage().contains("parallelism.default"), error.getMessage());
    }
}
