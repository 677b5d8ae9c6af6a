package rescaler.benchmarks;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.io.Input;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.infra.Blackhole;
import rescaler.jobs.events.Event;
import rescaler.jobs.events.EventDecoder;
import rescaler.jobs.events.MalformedEventException;

/**
 * Decodes one round of messages after the other, with our decoder and with Kryo in two ways. An operation is one event.
 *
 * <p>Beside the elapsed time, which JMH measures, an iteration counts the CPU time of the measuring thread: it stays the
 * same when the machine has other work. Garbage is collected by another thread and not in it, which favours whoever
 * makes more of it.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@OperationsPerInvocation(Messages.COUNT)
public class DecodeBenchmark {
    private byte[][] wire;
    private byte[][] kryoBytes;
    private Class<?>[] types;
    private EventDecoder decoder;
    private Kryo kryo;
    private Input input;

    /** CPU time and events of an iteration. */
    @State(Scope.Thread)
    @AuxCounters(AuxCounters.Type.EVENTS)
    public static class Cpu {
        private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

        public long cpuNanos;
        public long events;
        private long begin;

        @Setup(Level.Iteration)
        public void begin() {
            events = 0;
            begin = THREADS.getCurrentThreadCpuTime();
        }

        @TearDown(Level.Iteration)
        public void end() {
            cpuNanos = THREADS.getCurrentThreadCpuTime() - begin;
        }
    }

    /** Loads the messages, and makes sure that all ways lead to the same events. */
    @Setup(Level.Trial)
    public void load() throws MalformedEventException {
        Messages messages = Messages.load();
        wire = messages.wire();
        kryoBytes = messages.kryo();
        types = messages.events().stream().map(Object::getClass).toArray(Class<?>[]::new);
        decoder = new EventDecoder();
        kryo = KryoEvents.newKryo();
        input = new Input();
        for (int index = 0; index < Messages.COUNT; index++) {
            Event event = messages.events().get(index);
            check(event, decoder.decode(wire[index], Messages.INGESTION_TIME));
            check(event, withNewKryo(index));
            check(event, withReusedKryo(index));
        }
    }

    /** Our decoder. */
    @Benchmark
    public void decoder(Blackhole blackhole, Cpu cpu) throws MalformedEventException {
        for (byte[] record : wire) {
            blackhole.consume(decoder.decode(record, Messages.INGESTION_TIME));
        }
        cpu.events += Messages.COUNT;
    }

    /** A Kryo that lives as long as the thread. */
    @Benchmark
    public void reusedKryo(Blackhole blackhole, Cpu cpu) {
        for (int index = 0; index < kryoBytes.length; index++) {
            blackhole.consume(withReusedKryo(index));
        }
        cpu.events += Messages.COUNT;
    }

    /** A Kryo for each message, as a deserializer without state makes it. */
    @Benchmark
    public void newKryo(Blackhole blackhole, Cpu cpu) {
        for (int index = 0; index < kryoBytes.length; index++) {
            blackhole.consume(withNewKryo(index));
        }
        cpu.events += Messages.COUNT;
    }

    private Object withReusedKryo(int index) {
        input.setBuffer(kryoBytes[index]);
        return kryo.readObject(input, types[index]);
    }

    private Object withNewKryo(int index) {
        return KryoEvents.newKryo().readObject(new Input(kryoBytes[index]), types[index]);
    }

    private static void check(Event expected, Object found) {
        if (!expected.equals(found)) {
            throw new IllegalStateException("decoded " + found + " instead of " + expected);
        }
    }
}
