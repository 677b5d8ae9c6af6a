package rescaler.jobs.testing;

import java.nio.charset.StandardCharsets;
import java.util.List;

/** Result rows as readable text: values only, in order, without names, quotes and braces. */
public final class Rows {
    private Rows() {}

    /** For example {@code 59999: q8 60000 1 Ada 5}. */
    public static List<String> of(TestingSubtasks<?, ?, byte[]> subtasks) {
        return subtasks.output(Rows::values).stream().map(row -> row.replaceFirst(" ", ": ")).toList();
    }

    private static String values(byte[] row) {
        String json = new String(row, StandardCharsets.UTF_8);
        return json.replaceAll("\"[a-z_]+\":", "").replaceAll("[{}\"]", "").replace(',', ' ');
    }
}
