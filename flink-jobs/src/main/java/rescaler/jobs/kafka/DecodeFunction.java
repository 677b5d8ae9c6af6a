package rescaler.jobs.kafka;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.metrics.Counter;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;
import rescaler.jobs.events.Event;
import rescaler.jobs.events.EventDecoder;
import rescaler.jobs.events.Kind;
import rescaler.jobs.events.MalformedEventException;

/**
 * Decodes records to events; anything but an event of the expected kind is counted and emitted as a dead letter.
 *
 * <p>It also sets the ingestion time, the start of the operators' waiting times and overall latencies.
 */
final class DecodeFunction<E extends Event> extends ProcessFunction<RawRecord, E> {
    private static final long serialVersionUID = 1L;

    /** Side output of undecodable records. */
    static final OutputTag<DeadLetter> DEAD_LETTERS = new OutputTag<>("dead-letters", DeadLetter.TYPE);

    private final Kind kind;
    private final Class<E> type;
    private transient EventDecoder decoder;
    private transient Counter undecodableRecords;

    DecodeFunction(Kind kind, Class<E> type) {
        this.kind = kind;
        this.type = type;
    }

    @Override
    public void open(OpenContext context) {
        decoder = new EventDecoder();
        undecodableRecords = getRuntimeContext().getMetricGroup().counter("undecodableRecords");
    }

    @Override
    public void processElement(RawRecord record, Context context, Collector<E> out) {
        try {
            Kind found = EventDecoder.kindOf(record.value());
            Event event = decoder.decode(record.value(), System.currentTimeMillis());
            if (found != kind) {
                throw MalformedEventException.wrongTopic(kind, found);
            }
            out.collect(type.cast(event));
        } catch (MalformedEventException problem) {
            undecodableRecords.inc();
            context.output(DEAD_LETTERS, DeadLetter.of(record, problem));
        }
    }
}
