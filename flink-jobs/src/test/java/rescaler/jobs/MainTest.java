package rescaler.jobs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rescaler.jobs.config.JobDocumentException;

/** Goal: the program takes exactly one document, as text or as a file, and rejects a bad one before anything runs. */
class MainTest {
    @Test
    void aDocumentIsTextOrFile(@TempDir Path folder) throws IOException {
        Path file = Files.writeString(folder.resolve("job.toml"), "x = 1");
        assertEquals(new Arguments("x = 1", false), Arguments.parse(new String[] {"--document", file.toString()}));
        assertEquals(
                new Arguments("y = 2", true), Arguments.parse(new String[] {"--bounded", "--document-text", "y = 2"}));
    }

    @Test
    void wrongArgumentsAreRefusedWithTheUsage() {
        for (String[] arguments : new String[][] {
            {}, {"--bounded"}, {"--document-text"}, {"--document-text", "a", "--document-text", "b"}, {"--fast"}
        }) {
            IllegalArgumentException refusal =
                    assertThrows(IllegalArgumentException.class, () -> Arguments.parse(arguments));
            assertTrue(refusal.getMessage().contains("usage: "), refusal.getMessage());
        }
    }

    @Test
    void aBadDocumentFailsTheSubmission() {
        JobDocumentException refusal = assertThrows(
                JobDocumentException.class, () -> Main.main(new String[] {"--document-text", "format = 1"}));
        assertTrue(refusal.getMessage().contains("`parallelism.default`"), refusal.getMessage());
    }
}
