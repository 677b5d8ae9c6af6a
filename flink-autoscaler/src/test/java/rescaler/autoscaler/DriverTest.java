package rescaler.autoscaler;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import rescaler.autoscaler.FlinkRest.Bounds;

/**
 * Goal: Apache's library sees the job through the project's context, decides by itself, and its decision reaches
 * Flink.
 */
@Timeout(120)
class DriverTest {
    /**
     * A short window, of which the library needs at least two samples, no stabilisation, and no share of the backlog
     * in the target.
     */
    private static final Configuration OPTIONS = Configuration.fromMap(Map.of(
            "job.autoscaler.enabled", "true",
            "job.autoscaler.metrics.window", "1 s",
            "job.autoscaler.stabilization.interval", "0 ms",
            "job.autoscaler.catch-up.duration", "0 s",
            "job.autoscaler.restart.time", "0 s",
            "job.autoscaler.target.utilization", "0.7",
            "job.autoscaler.vertex.max-parallelism", "8"));

    private TestingFlink flink;

    @BeforeEach
    void start() throws Exception {
        flink = new TestingFlink();
    }

    @AfterEach
    void stop() {
        flink.close();
    }

    @Test
    void aSaturatedJobIsWidened() throws Exception {
        Driver driver = new Driver(flink.address(), "nexmark", OPTIONS);
        // The number of rounds until the window is full depends on the machine.
        for (int round = 0; round < 1000 && flink.required().isEmpty(); round++) {
            assertTrue(driver.round());
        }
        // 3,000 records arrive while an always busy subtask reads 1,000: 3 / 0.7 subtasks.
        String five = "{\"parallelism\":{\"lowerBound\":1,\"upperBound\":5}}";
        assertEquals(
                "{\"" + TestingFlink.SOURCE + "\":" + five + ",\"" + TestingFlink.SINK + "\":" + five + "}",
                flink.required().get(0));
    }

    @Test
    void aJobThatDoesNotRunIsLeftAlone() throws Exception {
        flink.setState("RESTARTING");
        Driver driver = new Driver(flink.address(), TestingFlink.JOB, OPTIONS);
        for (int round = 0; round < 5; round++) {
            assertTrue(driver.round());
        }
        assertEquals(List.of(), flink.required());
        flink.setState("CANCELED");
        assertFalse(driver.round(), "there is no job that has not ended");
    }

    @Test
    void onlyNamedVerticesAreChanged() {
        Map<String, Bounds> today = Map.of("a", new Bounds(1, 2), "b", new Bounds(1, 3));
        assertEquals(
                Map.of("a", new Bounds(1, 4), "b", new Bounds(1, 3)), InPlaceRealizer.with(today, Map.of("a", "4")));
    }
}
