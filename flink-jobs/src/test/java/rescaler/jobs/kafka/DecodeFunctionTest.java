package rescaler.jobs.kafka;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.apache.flink.streaming.util.ProcessFunctionTestHarnesses;
import org.junit.jupiter.api.Test;
import rescaler.jobs.events.Bid;
import rescaler.jobs.events.Kind;

/** Goal: every record leaves a source once, as an event or as a dead letter with its position and problem. */
class DecodeFunctionTest {
    private static final byte[] NO_EVENT = "no event".getBytes(StandardCharsets.UTF_8);

    @Test
    void eventsGoOnAndWhatIsNoneGoesToTheDeadLetters() throws Exception {
        try (OneInputStreamOperatorTestHarness<RawRecord, Bid> harness = bids()) {
            harness.processElement(raw(7, NO_EVENT), 10);
            harness.processElement(raw(8, golden("bid")), 11);
            harness.processElement(raw(9, new byte[0]), 12);
            harness.processElement(raw(10, golden("person")), 13);

            assertEquals(1, harness.extractOutputValues().size());
            List<String> letters = new ArrayList<>();
            harness.getSideOutput(DecodeFunction.DEAD_LETTERS).forEach(letter -> letters.add(describe(letter.getValue())));
            assertEquals(
                    List.of("bidEvents 2 7: unknown-version at 0", "bidEvents 2 9: empty at 0",
                            "bidEvents 2 10: wrong-topic at 0"),
                    letters);
            assertArrayEquals(
                    NO_EVENT, harness.getSideOutput(DecodeFunction.DEAD_LETTERS).peek().getValue().record().value());
        }
    }

    private static OneInputStreamOperatorTestHarness<RawRecord, Bid> bids() throws Exception {
        return ProcessFunctionTestHarnesses.forProcessFunction(new DecodeFunction<>(Kind.BID, Bid.class));
    }

    private static RawRecord raw(long offset, byte[] value) {
        return new RawRecord("bidEvents", 2, offset, value);
    }

    private static String describe(DeadLetter letter) {
        RawRecord record = letter.record();
        return record.topic() + " " + record.partition() + " " + record.offset() + ": " + letter.problem() + " at "
                + letter.problemOffset();
    }

    /** Returns the first golden record of that kind. */
    private static byte[] golden(String kind) throws Exception {
        Path file = Path.of("..", "testdata", "wire", "golden.json");
        for (JsonNode golden : new ObjectMapper().readTree(file.toFile())) {
            if (golden.get("event").get("kind").asText().equals(kind)) {
                return HexFormat.of().parseHex(golden.get("hex").asText());
            }
        }
        throw new AssertionError("no golden " + kind);
    }
}
