package rescaler.jobs.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/**
 * Goal: where partitions are never idle, a source with more subtasks than its topic has partitions is rejected, with
 * the key responsible.
 */
class PartitionRuleTest {
    private static final Map<Stream, Integer> FOUR = Map.of(Stream.AUCTION, 4, Stream.BID, 4);

    @Test
    void onlyTheStreamsThatAreReadCount() throws Exception {
        assertEquals(Set.of(Stream.AUCTION, Stream.BID), PartitionRule.streams(document("")));
    }

    @Test
    void itAppliesWherePartitionsAreNeverIdle() throws Exception {
        assertTrue(PartitionRule.appliesTo(document("")));
        assertFalse(PartitionRule.appliesTo(
                JobDocumentReader.read(Files.readString(Path.of("..", "configs", "jobs", "nexmark.toml")))));
    }

    @Test
    void asManySubtasksAsPartitionsAreAccepted() throws Exception {
        PartitionRule.check(document("source-bid = 4"), FOUR);
    }

    @Test
    void oneMoreIsRefusedByItsKey() throws Exception {
        refused("source-bid = 5", "`parallelism.operators.source-bid`", "runs at 5", "topic bidEvents", "at most 4");
        refused("source-bid = 0", "`parallelism.default`: `source-bid`", "runs at 9", "`source.idleness_ms`");
    }

    @Test
    void theTopicIsNamedWithItsPrefix() throws Exception {
        JobDocument document = JobDocumentReader.read(Files.readString(Path.of("..", "configs", "jobs", "nexmark.toml"))
                .replace("source-bid = 1", "source-bid = 5")
                .replace("# topic_prefix = \"\"", "topic_prefix = \"mine.\""));
        assertEquals("mine.bidEvents", document.kafka().topicOf(Stream.BID));
        JobDocumentException refusal =
                assertThrows(JobDocumentException.class, () -> PartitionRule.check(document, FOUR));
        assertTrue(refusal.getMessage().contains("topic mine.bidEvents"), refusal.getMessage());
    }

    private static void refused(String bid, String... parts) throws Exception {
        JobDocument document = document(bid);
        JobDocumentException refusal =
                assertThrows(JobDocumentException.class, () -> PartitionRule.check(document, FOUR));
        assertEquals(1, refusal.problems().size(), refusal.getMessage());
        for (String part : parts) {
            assertTrue(refusal.getMessage().contains(part), refusal.getMessage());
        }
    }

    /** The example's query reads auctions and bids; everything else runs at 9. */
    private static JobDocument document(String bid) throws Exception {
        String text = Files.readString(Path.of("..", "configs", "jobs", "nexmark.toml"));
        return JobDocumentReader.read(text.replace("default = 1 ", "default = 9 ")
                .replace("source-bid = 1", bid)
                .replace("idleness_ms = 10000", "idleness_ms = 0"));
    }
}
