package rescaler.jobs.nexmark;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.events.Auction;
import rescaler.jobs.events.Person;
import rescaler.jobs.testing.Rows;
import rescaler.jobs.testing.TestingSubtasks;

/** Goal: one row for each auction of a person who registered in the same window, and no other. */
class NewSellersOperatorTest {
    @Test
    void bothMustBeInTheSameWindow() throws Exception {
        try (var subtasks = start()) {
            subtasks.left(person(1, 50, "Ada \"A\""), 50);
            subtasks.right(auction(12, 1, 99), 99);
            subtasks.right(auction(11, 1, 10), 10);
            subtasks.right(auction(13, 1, 100), 100); // the next window
            subtasks.right(auction(14, 2, 50), 50); // registered long ago
            subtasks.left(person(3, 50, "Bo"), 50); // opens nothing
            subtasks.watermark(98);
            assertEquals(List.of(), Rows.of(subtasks));
            subtasks.watermark(99);
            assertEquals(List.of("99: q8 100 1 Ada \\A\\ 11", "99: q8 100 1 Ada \\A\\ 12"), Rows.of(subtasks));
            subtasks.watermark(199);
            assertEquals(2, Rows.of(subtasks).size());
            assertEquals(0, subtasks.stateEntries());
        }
    }

    @Test
    void openWindowsSurviveARescale() throws Exception {
        try (var subtasks = start()) {
            for (int id = 0; id < 50; id++) {
                subtasks.left(person(id, 50, "P" + id), 50);
            }
            subtasks.restore(3);
            for (int id = 0; id < 50; id++) {
                subtasks.right(auction(100 + id, id, 60), 60);
            }
            subtasks.restore(2);
            subtasks.watermark(99);
            List<String> rows = Rows.of(subtasks);
            assertEquals(50, rows.size());
            for (int id = 0; id < 50; id++) {
                assertEquals(true, rows.contains("99: q8 100 " + id + " P" + id + " " + (100 + id)));
            }
        }
    }

    private static TestingSubtasks<Person, Auction, byte[]> start() throws Exception {
        return TestingSubtasks.twoInputs(
                () -> new NewSellersOperator(OperatorSettings.PLAIN, 100), Person::personId, Auction::sellerId);
    }

    private static Person person(long id, long timestamp, String name) {
        return new Person(timestamp, id, name, "", "", "", "", 0);
    }

    private static Auction auction(long id, long sellerId, long timestamp) {
        return new Auction(timestamp, id, id, sellerId, 100, 0, timestamp, timestamp + 1000, 0);
    }
}
