package rescaler.jobs.config;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A table of the document during parsing: returns typed values and records every problem.
 *
 * <p>Parsing continues after a problem (with the default or a harmless value), so that all problems are reported
 * together.
 */
final class TomlTable {
    private final ObjectNode node;
    private final String path;
    private final List<String> problems;
    private final Set<String> known = new LinkedHashSet<>();

    TomlTable(ObjectNode node, String path, List<String> problems) {
        this.node = node;
        this.path = path;
        this.problems = problems;
    }

    /** Records a problem with one key of this table. */
    void problem(String key, String text) {
        problems.add("`" + path + key + "`: " + text);
    }

    boolean has(String key) {
        return node.has(key);
    }

    /** Returns the present keys, in no particular order. */
    Set<String> keys() {
        Set<String> keys = new LinkedHashSet<>();
        for (Iterator<String> names = node.fieldNames(); names.hasNext(); ) {
            keys.add(names.next());
        }
        return keys;
    }

    /** Returns a table within this one; an empty one if absent. */
    TomlTable table(String key) {
        JsonNode value = get(key);
        if (value != null && !value.isObject()) {
            problem(key, "must be a table; write [" + path + key + "] and its keys below");
        }
        ObjectNode table = value instanceof ObjectNode object ? object : node.objectNode();
        return new TomlTable(table, path + key + ".", problems);
    }

    String requiredText(String key) {
        Optional<String> text = optionalText(key);
        if (text.isEmpty() && !node.has(key)) {
            problem(key, "is missing; add it, as a string");
        }
        return text.orElse("");
    }

    Optional<String> optionalText(String key) {
        JsonNode value = get(key);
        if (value == null) {
            return Optional.empty();
        }
        if (!value.isTextual() || value.textValue().isBlank()) {
            problem(key, "is " + value + ", but must be a string that is not empty");
            return Optional.empty();
        }
        return Optional.of(value.textValue());
    }

    /** Returns a string, which may be empty. */
    String text(String key, String absent) {
        JsonNode value = get(key);
        if (value == null) {
            return absent;
        }
        if (!value.isTextual()) {
            problem(key, "is " + value + ", but must be a string");
            return absent;
        }
        return value.textValue();
    }

    long requiredInteger(String key, long lowest, long highest) {
        if (!node.has(key)) {
            known.add(key);
            problem(key, "is missing; add it, as a whole number from " + lowest + " to " + highest);
            return lowest;
        }
        return integer(key, lowest, highest, lowest);
    }

    long integer(String key, long lowest, long highest, long fallback) {
        JsonNode value = get(key);
        if (value == null) {
            return fallback;
        }
        if (!value.isIntegralNumber()
                || !value.canConvertToLong()
                || value.longValue() < lowest
                || value.longValue() > highest) {
            problem(key, "is " + value + ", but must be a whole number from " + lowest + " to " + highest);
            return fallback;
        }
        return value.longValue();
    }

    boolean flag(String key, boolean fallback) {
        JsonNode value = get(key);
        if (value == null) {
            return fallback;
        }
        if (!value.isBoolean()) {
            problem(key, "is " + value + ", but must be true or false");
            return fallback;
        }
        return value.booleanValue();
    }

    /** To be called last: rejects all keys that were not requested. */
    void refuseUnknownKeys() {
        for (String key : keys()) {
            if (!known.contains(key)) {
                problem(key, "is an unknown key; remove it, or use one of " + String.join(", ", known));
            }
        }
    }

    private JsonNode get(String key) {
        known.add(key);
        return node.get(key);
    }
}
