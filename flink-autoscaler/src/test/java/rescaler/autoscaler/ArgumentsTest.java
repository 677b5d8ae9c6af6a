package rescaler.autoscaler;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import org.junit.jupiter.api.Test;

/** Goal: valid command lines are parsed, and invalid ones are rejected with the usage. */
class ArgumentsTest {
    private static Arguments parse(String line) {
        return Arguments.parse(line.split(" "));
    }

    @Test
    void everythingIsRead() {
        Arguments arguments =
                parse("--flink http://127.0.0.1:8081/ --job nexmark --options o.properties --interval 5s --compression 7.5");
        assertEquals("http://127.0.0.1:8081", arguments.flink().toString());
        assertEquals("nexmark", arguments.job());
        assertEquals(Duration.ofSeconds(5), arguments.interval());
        assertEquals(7.5, arguments.compression());
    }

    @Test
    void whatIsWrongIsNamed() {
        for (String line : new String[] {
            "--flink http://127.0.0.1:8081 --job nexmark",
            "--flink http://127.0.0.1:8081 --job nexmark --options",
            "--flink http://127.0.0.1:8081 --job nexmark --options o --compression 0.5",
            "--flink http://127.0.0.1:8081 --job nexmark --options o --interval 0s",
            "--flink http://127.0.0.1:8081 --job nexmark --options o --speed 3",
        }) {
            var error = assertThrows(IllegalArgumentException.class, () -> parse(line), line);
            assertTrue(error.getMessage().contains(Arguments.USAGE), error.getMessage());
        }
    }
}
