package rescaler.jobs;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The program's arguments.
 *
 * @param document the job document's text
 * @param bounded whether the job ends at the records that are in Kafka when it starts
 */
record Arguments(String document, boolean bounded) {
    private static final String USAGE = "usage: (--document-text TEXT | --document FILE) [--bounded]";

    static Arguments parse(String[] arguments) throws IOException {
        String document = null;
        boolean bounded = false;
        for (int index = 0; index < arguments.length; index++) {
            switch (arguments[index]) {
                case "--bounded" -> bounded = true;
                case "--document-text" -> document = only(document, value(arguments, ++index));
                case "--document" -> document = only(document, Files.readString(Path.of(value(arguments, ++index))));
                default -> throw new IllegalArgumentException(
                        "unknown argument \"" + arguments[index] + "\"; " + USAGE);
            }
        }
        if (document == null) {
            throw new IllegalArgumentException("there is no job document; " + USAGE);
        }
        return new Arguments(document, bounded);
    }

    private static String value(String[] arguments, int index) {
        if (index == arguments.length) {
            throw new IllegalArgumentException(arguments[index - 1] + " needs a value; " + USAGE);
        }
        return arguments[index];
    }

    private static String only(String earlier, String value) {
        if (earlier != null) {
            throw new IllegalArgumentException("there are two job documents, only one is wanted; " + USAGE);
        }
        return value;
    }
}
