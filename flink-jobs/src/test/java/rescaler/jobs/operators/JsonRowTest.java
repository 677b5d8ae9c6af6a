package rescaler.jobs.operators;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

/** Goal: rows are JSON that survives a round trip exactly, with fields in order. */
class JsonRowTest {
    @Test
    void fieldsComeInOrder() {
        byte[] row = new JsonRow("q8").with("window_end", -5).with("ratio", 0.5).with("name", "a").toBytes();
        assertEquals(
                "{\"query\":\"q8\",\"window_end\":-5,\"ratio\":0.5,\"name\":\"a\"}",
                new String(row, StandardCharsets.UTF_8));
    }

    @Test
    void anyTextSurvives() throws IOException {
        String name = "\"quoted\\\" \n\t\u0000 Zoë \uD83E\uDD80 \u2028";
        assertEquals(name, read(new JsonRow("q8").with("name", name)).get("name").textValue());
    }

    @Test
    void doublesSurviveWithoutExponent() throws IOException {
        for (double value : new double[] {0, 1.0 / 3, 1e7, 123456789.125, 1e-5, 9.007199254740993e15, -2.5}) {
            JsonRow row = new JsonRow("q4").with("average", value);
            assertEquals(value, read(row).get("average").doubleValue());
            assertEquals(-1, new String(row.toBytes(), StandardCharsets.UTF_8).indexOf('E'));
        }
    }

    private static JsonNode read(JsonRow row) throws IOException {
        return new ObjectMapper().readTree(row.toBytes());
    }
}
