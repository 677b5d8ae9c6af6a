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
 * Makes events of records; what is not an event of the expected kind is counted and goes to the dead letters.
 *
 * <p>It also stamps the ingestion time, from which the operators' waiting times and overall latencies count.
 */
final class DecodeFunction<E extends Event> extends ProcessFunction<RawRecord, E> {
    private static final long serialVersionUID = 1L;

    /** Where undecodable records go. */
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
