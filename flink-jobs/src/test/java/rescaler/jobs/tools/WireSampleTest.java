package rescaler.jobs.tools;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Goal: events of the Rust encoder are decoded field for field as the Rust side shows them. */
class WireSampleTest {
    private static final Path WIRE = Path.of("..", "testdata", "wire");

    @ParameterizedTest
    @ValueSource(strings = {"nexmark", "psm", "random"})
    void samplesReadHereAsInRust(String stream) throws Exception {
        byte[] records = Files.readAllBytes(WIRE.resolve("sample-" + stream + ".wire"));
        List<String> expected = lines(Files.readAllBytes(WIRE.resolve("sample-" + stream + ".json")));
        List<String> found = lines(converted(records));
        assertTrue(expected.size() > 1000, "the sample holds " + expected.size() + " events");
        for (int line = 0; line < Math.min(expected.size(), found.size()); line++) {
            assertEquals(expected.get(line), found.get(line), "event " + line);
        }
        assertEquals(expected.size(), found.size());
    }

    @Test
    void inputThatIsCutOffOrNoEventIsRefusedWithTheRecordsNumber() throws Exception {
        byte[] records = Files.readAllBytes(WIRE.resolve("sample-psm.wire"));
        int second = 4 + records[0];
        assertEquals("record 1 is cut off", refusal(Arrays.copyOf(records, second + 4 + 3)));
        assertEquals("the length of record 1 is cut off", refusal(Arrays.copyOf(records, second + 2)));
        byte[] otherKind = Arrays.copyOf(records, second + 4 + records[second]);
        otherKind[second + 4] = 0x1f;
        assertEquals("record 1: event kind 15, which does not exist (offset 0)", refusal(otherKind));
        byte[] text = "{\"kind\":\"bid\"}".getBytes(StandardCharsets.UTF_8);
        assertTrue(refusal(text).startsWith("record 0 claims "), refusal(text));
        assertArrayEquals(new byte[0], converted(new byte[0]));
    }

    private static String refusal(byte[] records) {
        return assertThrows(WireToJson.MalformedInputException.class, () -> converted(records)).getMessage();
    }

    private static byte[] converted(byte[] records) throws IOException, WireToJson.MalformedInputException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        WireToJson.convert(new ByteArrayInputStream(records), out);
        return out.toByteArray();
    }

    /** Splits at line feeds only: the strings contain every other line separator. */
    private static List<String> lines(byte[] text) {
        return List.of(new String(text, StandardCharsets.UTF_8).split("\n"));
    }
}
