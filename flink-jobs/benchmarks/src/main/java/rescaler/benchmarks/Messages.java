package rescaler.benchmarks;

import com.esotericsoftware.kryo.Kryo;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import rescaler.jobs.events.Event;
import rescaler.jobs.events.EventDecoder;
import rescaler.jobs.events.MalformedEventException;

/**
 * The same events three times: as objects, as the producer's bytes, and as Kryo's bytes.
 *
 * <p>They come from {@code event-producer generate --benchmark nexmark --format wire}: the standard mix, person to item
 * to auction to bid as 1 : 3 : 3 : 46.
 *
 * @param events what decoding must give
 * @param wire each event as the producer writes it
 * @param kryo each event as Kryo writes it
 */
record Messages(List<Event> events, byte[][] wire, byte[][] kryo) {
    /** Events of the file that are used: 20 rounds of the mix. Fixed, because JMH must know it when it compiles. */
    static final int COUNT = 20 * 53;
    /** Any constant: both sides put it into each event. */
    static final long INGESTION_TIME = 1_700_000_000_000L;
    /** System property that names the file of records. */
    static final String FILE_PROPERTY = "rescaler.messages";

    /** Reads the file and writes its events anew with Kryo. */
    static Messages load() {
        Path file = Path.of(System.getProperty(FILE_PROPERTY));
        try {
            return of(ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN));
        } catch (IOException problem) {
            throw new UncheckedIOException(problem);
        } catch (MalformedEventException problem) {
            throw new IllegalArgumentException(file + " holds something else", problem);
        }
    }

    private static Messages of(ByteBuffer framed) throws MalformedEventException {
        EventDecoder decoder = new EventDecoder();
        Kryo kryo = KryoEvents.newKryo();
        List<Event> events = new ArrayList<>(COUNT);
        byte[][] wire = new byte[COUNT][];
        byte[][] written = new byte[COUNT][];
        for (int index = 0; index < COUNT; index++) {
            wire[index] = new byte[framed.getInt()];
            framed.get(wire[index]);
            Event event = decoder.decode(wire[index], INGESTION_TIME);
            events.add(event);
            written[index] = KryoEvents.encoded(kryo, event);
        }
        return new Messages(events, wire, written);
    }
}
