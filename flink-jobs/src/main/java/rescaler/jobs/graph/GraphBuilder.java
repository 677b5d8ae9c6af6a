package rescaler.jobs.graph;

import java.util.EnumMap;
import java.util.Map;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.streaming.api.datastream.ConnectedStreams;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.TwoInputStreamOperator;
import rescaler.jobs.config.JobDocument;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.config.Query;
import rescaler.jobs.config.QueryOption;
import rescaler.jobs.config.Stream;
import rescaler.jobs.events.Event;
import rescaler.jobs.kafka.Sinks;
import rescaler.jobs.kafka.Sources;
import rescaler.jobs.state.RecordType;

/**
 * Builds the operators of a job's graph by common rules.
 *
 * <p>An operator's name is its uid and it starts a chain, so that the vertices and their ids are the same at any
 * parallelism. Exchanges are by key, to the first subtask (all-window operators), or round robin (sinks), never the
 * default, which depends on the parallelism at submission and could not be rescaled in place.
 */
public final class GraphBuilder {
    /** A result: a JSON object in UTF-8. */
    public static final TypeInformation<byte[]> ROW = PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;

    private final JobDocument document;
    private final Sources sources;
    private final Sinks sinks;
    private final Map<Stream, DataStream<? extends Event>> streams = new EnumMap<>(Stream.class);

    public GraphBuilder(StreamExecutionEnvironment environment, JobDocument document, boolean bounded) {
        this.document = document;
        this.sources = new Sources(environment, document, bounded);
        this.sinks = new Sinks(document);
    }

    /** Builds a query if the document enables it. */
    public void ifEnabled(Query query, Runnable build) {
        if (document.queries().containsKey(query)) {
            build.run();
        }
    }

    public long option(Query query, QueryOption option) {
        return document.queries().get(query).get(option);
    }

    public long waitingBidHorizonMs() {
        return document.source().waitingBidHorizonMs();
    }

    public OperatorSettings settings(String uid) {
        return document.operatorSettings(uid);
    }

    /** Returns a stream's events, from one source for all queries. */
    @SuppressWarnings("unchecked") // each stream is always asked for with its own type
    public <E extends Event> DataStream<E> events(Stream stream, RecordType<E> type) {
        return (DataStream<E>) streams.computeIfAbsent(stream, absent -> sources.read(stream, type));
    }

    /** Adds a keyed operator with one input. */
    public <I, O> DataStream<O> keyed(
            String uid, KeyedStream<I, ?> input, TypeInformation<O> type, OneInputStreamOperator<I, O> operator) {
        return named(uid, input.transform(uid, type, operator))
                .setParallelism(document.parallelism().of(uid))
                .startNewChain();
    }

    /** Adds a keyed operator with two inputs, both keyed. */
    public <L, R, O> DataStream<O> keyed(
            String uid,
            ConnectedStreams<L, R> inputs,
            TypeInformation<O> type,
            TwoInputStreamOperator<L, R, O> operator) {
        return named(uid, inputs.transform(uid, type, operator))
                .setParallelism(document.parallelism().of(uid))
                .startNewChain();
    }

    /** Adds a window over the whole stream: parallelism 1, with a maximum of 1 that is visible to a rescaler. */
    public <I, O> DataStream<O> allWindow(
            String uid, DataStream<I> input, TypeInformation<O> type, OneInputStreamOperator<I, O> operator) {
        return named(uid, input.global().transform(uid, type, operator))
                .setParallelism(1)
                .setMaxParallelism(1)
                .startNewChain();
    }

    private static <O> SingleOutputStreamOperator<O> named(String uid, SingleOutputStreamOperator<O> operator) {
        return operator.name(uid).uid(uid);
    }

    public void writeResults(Query query, DataStream<byte[]> results) {
        sinks.writeResults(query, results);
    }

    /** To be called last, when every stream has been requested. */
    public void writeDeadLetters() {
        sinks.writeDeadLetters(sources);
    }
}
