package rescaler.jobs.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Goal: the example documents are accepted, and every bad one is rejected with its key and a remedy. */
class JobDocumentReaderTest {
    private static String nexmark;

    @BeforeAll
    static void readExample() throws IOException {
        nexmark = Files.readString(Path.of("..", "configs", "jobs", "nexmark.toml"));
    }

    @Test
    void theExampleIsAccepted() throws JobDocumentException {
        JobDocument document = JobDocumentReader.read(nexmark);
        assertEquals("nexmark", document.job());
        assertEquals(128, document.parallelism().max());
        assertEquals(1, document.parallelism().of("q7-bid-item"));
        assertEquals(10_000, document.queries().get(Query.NEXMARK_Q7).get(QueryOption.WINDOW_SIZE_MS));
        assertEquals(JobDocument.Delivery.EXACTLY_ONCE, document.sink().delivery());
        assertEquals(WorkSettings.NONE, document.operatorSettings("q7-bid-item").work());
    }

    @Test
    void theOtherExampleIsAcceptedWithEveryQuery() throws Exception {
        JobDocument document =
                JobDocumentReader.read(Files.readString(Path.of("..", "configs", "jobs", "psm.toml")));
        assertEquals(Query.of(Benchmark.PSM), List.copyOf(document.queries().keySet()));
    }

    /** The examples show each option with its default. */
    @Test
    void theExamplesShowTheDefaults() throws Exception {
        for (String name : List.of("nexmark", "psm")) {
            String text = Files.readString(Path.of("..", "configs", "jobs", name + ".toml"));
            JobDocument document = JobDocumentReader.read(text.replace("enabled = false", "enabled = true"));
            document.queries().forEach((query, settings) -> assertEquals(query.options(), settings.options()));
            assertEquals(16_384, document.checkpoint().cachedKeys());
        }
    }

    @Test
    void aZeroOrAbsentParallelismIsTheDefault() throws JobDocumentException {
        String text = nexmark.replace("default = 1 ", "default = 3 ").replace("source-bid = 1", "source-bid = 0");
        JobDocument.Parallelism parallelism = JobDocumentReader.read(text).parallelism();
        assertEquals(3, parallelism.of("source-bid"));
        assertEquals(3, parallelism.of("sink-dead-letter"));
    }

    @Test
    void workIsReadByUid() throws JobDocumentException {
        String text = nexmark + "\n[work.q7-bid-item]\nwait_us = 250\n";
        WorkSettings work = JobDocumentReader.read(text).operatorSettings("q7-bid-item").work();
        assertEquals(new WorkSettings(0, 250), work);
    }

    @Test
    void badValuesAreRefusedByKeyAndRemedy() {
        refused("job = \"nexmark\"", "job = \"Nex mark\"", "`job`", "a-z");
        refused("format = 1 ", "format = 2 ", "`format`", "from 1 to 1");
        refused("generation = 1 ", "generation = \"1\" ", "`generation`", "whole number");
        refused("issued_at = \"2026-01-01T00:00:00Z\"", "issued_at = \"yesterday\"", "`issued_at`", "RFC 3339");
        refused("benchmark = \"nexmark\"", "benchmark = \"nexmarks\"", "`benchmark`", "nexmark, psm");
        refused("restart_mode = \"savepoint-restart\"", "restart_mode = \"hope\"", "`restart_mode`", "savepoint-restart");
        refused("# task_managers = 1 ", "task_managers = 0 ", "`task_managers`", "from 1");
        refused("default = 1 ", "default = 129 ", "`parallelism.default`", "at most 128");
        refused("max = 128 ", "max = 0 ", "`parallelism.max`", "from 1 to 32768");
        refused("q7-bid-item = 1", "q7-bid-item = 129", "`parallelism.operators.q7-bid-item`", "use at most 128");
        refused("q7-bid-item = 1", "q7-bid-item = -1", "`parallelism.operators.q7-bid-item`", "from 0");
        refused("q7-bid-item = 1", "q7-bid-items = 1", "`parallelism.operators.q7-bid-items`", "use one of source-");
        refused("q7-bid-item = 1", "q7-highest-bid = 2", "`parallelism.operators.q7-highest-bid`", "remove the key");
        refused("enabled = true\nwindow", "enabled = false\nwindow", "`queries.*`", "[queries.q7]");
        refused("window_size_ms = 60000", "window_size_ms = 0", "`queries.q8.window_size_ms`", "from 1");
        refused("window_size_ms = 60000", "window_slide_ms = 1", "`queries.q8.window_slide_ms`", "window_size_ms");
        refused("window_slide_ms = 1000 ", "window_slide_ms = 20000 ", "`queries.q5.window_slide_ms`", "at most the size");
        refused("window_slide_ms = 1000 ", "window_slide_ms = 3000 ", "`queries.q5.window_slide_ms`", "divides the size");
        refused("window_slide_records = 1 ", "window_slide_records = 11 ", "`queries.q6.window_slide_records`", "at most");
        refused("[queries.q7]", "[queries.q77]", "`queries.q77`", "q7");
        refused("cached_keys = 16384", "cached_keys = 0", "`checkpoint.cached_keys`", "from 1");
        refused("idleness_ms = 10000", "idleness_ms = -5", "`source.idleness_ms`", "from 0");
        refused("idleness_ms = 10000", "idle_ms = 5", "`source.idle_ms`", "idleness_ms");
        refused("incremental = true", "incremental = 1", "`checkpoint.incremental`", "true or false");
        refused("result_topic = \"nexmark_results\"", "", "`kafka.result_topic`", "add it");
        refused("delivery = \"exactly-once\"", "delivery = \"twice\"", "`sink.delivery`", "at-least-once");
        refused("transaction_timeout_ms = 600000", "transaction_timeout_ms = 60000", "`sink.transaction_timeout_ms`", "130000");
        refused("[metrics]", "[metrics]\nevery = 5", "`metrics.every`", "histogram_window_ms");
        refused("reason = ", "reasons = ", "`reasons`", "reason");
        refused("[source]", "[work.sink-q7]\nwait_us = 1\n[source]", "`work.sink-q7`", "remove the table");
        refused("[source]", "[work.q7-bid-item]\nwait_us = 1000001\n[source]", "`work.q7-bid-item.wait_us`", "1000000");
    }

    @Test
    void allProblemsAreReportedTogether() {
        String text = nexmark.replace("idleness_ms = 10000", "idleness_ms = -5").replace("q7-bid-item = 1", "x = 1");
        JobDocumentException refusal = assertThrows(JobDocumentException.class, () -> JobDocumentReader.read(text));
        assertEquals(2, refusal.problems().size(), refusal.getMessage());
    }

    @Test
    void whatIsNotTomlIsRefused() {
        JobDocumentException refusal =
                assertThrows(JobDocumentException.class, () -> JobDocumentReader.read("[parallelism\n"));
        assertTrue(refusal.getMessage().contains("not TOML"), refusal.getMessage());
    }

    private static void refused(String part, String replacement, String key, String remedy) {
        assertTrue(nexmark.contains(part), "the example says " + part);
        String text = nexmark.replace(part, replacement);
        JobDocumentException refusal = assertThrows(JobDocumentException.class, () -> JobDocumentReader.read(text));
        assertTrue(refusal.getMessage().contains(key), refusal.getMessage());
        assertTrue(refusal.getMessage().contains(remedy), refusal.getMessage());
    }
}
