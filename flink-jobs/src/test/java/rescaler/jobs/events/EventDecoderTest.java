package rescaler.jobs.events;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.lang.reflect.RecordComponent;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** Goal: this decoder and the Rust one agree on every golden record, and on the problem of every malformed one. */
class EventDecoderTest {
    private static final Path WIRE = Path.of("..", "testdata", "wire");
    private static final long INGESTION_TIME = 42;

    @Test
    void goldenRecordsDecodeToTheirFields() throws Exception {
        List<JsonNode> cases = cases("golden.json");
        assertTrue(cases.size() >= 7, "at least one record of each kind");
        for (JsonNode golden : cases) {
            Event event = new EventDecoder().decode(bytes(golden), INGESTION_TIME);
            Map<String, String> expected = new TreeMap<>();
            golden.get("event").fields().forEachRemaining(field -> expected.put(field.getKey(), field.getValue().asText()));
            assertEquals(expected, fields(event), golden.get("name").asText());
            assertEquals(INGESTION_TIME, event.ingestionTime());
        }
    }

    @Test
    void malformedRecordsAreRefusedWithTheirProblemAndOffset() throws Exception {
        for (JsonNode malformed : cases("malformed.json")) {
            MalformedEventException problem = assertThrows(
                    MalformedEventException.class,
                    () -> new EventDecoder().decode(bytes(malformed), INGESTION_TIME),
                    malformed.get("name").asText());
            String found = problem.problem().label() + " at " + problem.offset();
            String expected = malformed.get("error").asText() + " at " + malformed.get("offset").asInt();
            assertEquals(expected, found, malformed.get("name").asText());
        }
    }

    @Test
    void everyGoldenRecordCutAnywhereIsRefused() throws Exception {
        for (JsonNode golden : cases("golden.json")) {
            byte[] bytes = bytes(golden);
            for (int length = 0; length < Math.min(bytes.length, 300); length++) {
                byte[] cut = java.util.Arrays.copyOf(bytes, length);
                assertThrows(MalformedEventException.class, () -> new EventDecoder().decode(cut, 0));
            }
        }
    }

    @Test
    void randomBytesNeverDoWorseThanBeRefused() {
        Random random = new Random(1);
        EventDecoder decoder = new EventDecoder();
        int decoded = 0;
        for (int round = 0; round < 200_000; round++) {
            byte[] bytes = new byte[random.nextInt(70)];
            random.nextBytes(bytes);
            if (bytes.length > 0) {
                bytes[0] = (byte) (0x10 | random.nextInt(8));
            }
            try {
                decoder.decode(bytes, 0);
                decoded++;
            } catch (MalformedEventException refused) {
                assertTrue(refused.offset() <= bytes.length);
            }
        }
        assertTrue(decoded > 0, "some have the right length by chance");
    }

    @Test
    void aMissingValueIsAnEmptyRecord() {
        MalformedEventException problem =
                assertThrows(MalformedEventException.class, () -> new EventDecoder().decode(null, 0));
        assertEquals(MalformedEventException.Problem.EMPTY, problem.problem());
    }

    private static List<JsonNode> cases(String file) throws IOException {
        List<JsonNode> cases = new ArrayList<>();
        new ObjectMapper().readTree(WIRE.resolve(file).toFile()).forEach(cases::add);
        return cases;
    }

    private static byte[] bytes(JsonNode testCase) {
        return HexFormat.of().parseHex(testCase.get("hex").asText());
    }

    /** Returns the event's fields by their names on the wire, and its kind. */
    private static Map<String, String> fields(Event event) throws ReflectiveOperationException {
        Map<String, String> fields = new TreeMap<>();
        fields.put("kind", event.getClass().getSimpleName().toLowerCase(Locale.ROOT));
        for (RecordComponent component : event.getClass().getRecordComponents()) {
            String name = component.getName().replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
            fields.put(name, component.getAccessor().invoke(event).toString());
        }
        fields.remove("ingestion_time");
        return fields;
    }
}
