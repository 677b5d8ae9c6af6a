package rescaler.jobs.operators;

import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;

/**
 * One result as a JSON object on one line, its fields in the order in which they are added.
 *
 * <p>Doubles are written without an exponent and survive a round trip exactly.
 */
public final class JsonRow {
    private final StringBuilder text = new StringBuilder(128);

    /** Starts a row with the name of its query. */
    public JsonRow(String query) {
        text.append("{\"query\":\"").append(query).append('"');
    }

    public JsonRow with(String field, long value) {
        name(field).append(value);
        return this;
    }

    public JsonRow with(String field, double value) {
        String digits = Double.toString(value);
        name(field).append(digits.indexOf('E') < 0 ? digits : new BigDecimal(digits).toPlainString());
        return this;
    }

    public JsonRow with(String field, String value) {
        name(field).append('"');
        for (int index = 0; index < value.length(); index++) {
            escaped(value.charAt(index));
        }
        text.append('"');
        return this;
    }

    public byte[] toBytes() {
        return text.append('}').toString().getBytes(StandardCharsets.UTF_8);
    }

    private StringBuilder name(String field) {
        return text.append(",\"").append(field).append("\":");
    }

    private void escaped(char character) {
        if (character == '"' || character == '\\') {
            text.append('\\').append(character);
        } else if (character < 0x20) {
            text.append(String.format("\\u%04x", (int) character));
        } else {
            text.append(character);
        }
    }
}
