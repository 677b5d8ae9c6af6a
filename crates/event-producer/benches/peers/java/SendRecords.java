import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.AppInfoParser;

/**
 * Sends finished records into Kafka with Kafka's own client and tells the CPU time, as the example send-records of this crate does with
 * our clients, and with the same usage but for the name of the client. Used by scripts/benchmark-producer.sh --peers.
 */
public final class SendRecords {

    private static final int PARTITIONS = 4;

    /** The topics by the kind of an event, the lower four bits of its first byte. */
    private static final String[] TOPICS = {null, "personEvents", "itemEvents", "auctionEvents", "bidEvents"};

    private static final OperatingSystemMXBean SYSTEM =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    private record Event(String topic, long timestampMs, byte[] value) {}

    private final KafkaProducer<byte[], byte[]> producer;
    private final List<Event> events;
    private final AtomicLong failed = new AtomicLong();
    private final Callback acknowledged = (metadata, failure) -> {
        if (failure != null) {
            failed.incrementAndGet();
        }
    };
    private int next;

    private SendRecords(String brokers, List<Event> events) {
        // Acknowledged by all replicas and idempotent, as by default; batches and buffer as large as it needed for the least CPU time.
        this.producer = new KafkaProducer<>(
                Map.of(
                        "bootstrap.servers", brokers,
                        "acks", "all",
                        "enable.idempotence", "true",
                        "compression.type", "lz4",
                        "linger.ms", "5",
                        "batch.size", String.valueOf(1 << 20),
                        "buffer.memory", String.valueOf(64 << 20)),
                new ByteArraySerializer(),
                new ByteArraySerializer());
        this.events = events;
    }

    /** Reads the records of a file: each preceded by its length, 4 bytes, little-endian. */
    private static List<Event> read(String file, String prefix) throws IOException {
        var bytes = ByteBuffer.wrap(Files.readAllBytes(Path.of(file))).order(ByteOrder.LITTLE_ENDIAN);
        var topics = new String[TOPICS.length];
        for (int kind = 1; kind < TOPICS.length; kind++) {
            topics[kind] = prefix + TOPICS[kind];
        }
        var events = new ArrayList<Event>();
        while (bytes.hasRemaining()) {
            var value = new byte[bytes.getInt()];
            long timestampMs = bytes.getLong(bytes.position() + 1);
            bytes.get(value);
            events.add(new Event(topics[value[0] & 0xf], timestampMs, value));
        }
        if (events.isEmpty() || events.size() % PARTITIONS != 0) {
            throw new IOException(file + ": the number of records is no multiple of " + PARTITIONS);
        }
        return events;
    }

    /** Sends the next records and waits for their acknowledgements. */
    private void send(int count) {
        for (int sent = 0; sent < count; sent++) {
            Event event = events.get(next);
            producer.send(
                    new ProducerRecord<>(event.topic, next % PARTITIONS, event.timestampMs, null, event.value),
                    acknowledged);
            next = next + 1 == events.size() ? 0 : next + 1;
        }
        producer.flush();
        if (failed.get() > 0) {
            throw new IllegalStateException(failed + " records were not delivered");
        }
    }

    public static void main(String[] arguments) throws IOException {
        if (arguments.length != 3) {
            throw new IllegalArgumentException("usage: SendRecords BROKERS TOPIC_PREFIX FILE");
        }
        var sender = new SendRecords(arguments[0], read(arguments[2], arguments[1]));
        System.out.printf(
                "ready kafka-clients %s, Java %s%n", AppInfoParser.getVersion(), Runtime.version().feature());
        System.out.flush();
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            long cpu = SYSTEM.getProcessCpuTime();
            long begin = System.nanoTime();
            sender.send(Integer.parseInt(line.trim()));
            long elapsed = System.nanoTime() - begin;
            System.out.printf("%s %s%n", (SYSTEM.getProcessCpuTime() - cpu) / 1e9, elapsed / 1e9);
            System.out.flush();
        }
        sender.producer.close();
    }
}
