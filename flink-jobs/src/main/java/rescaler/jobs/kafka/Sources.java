package rescaler.jobs.kafka;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.KafkaSourceBuilder;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import rescaler.jobs.config.JobDocument;
import rescaler.jobs.config.Stream;
import rescaler.jobs.events.Event;
import rescaler.jobs.state.RecordType;

/**
 * The sources: one per stream, from the topic's earliest records on, with the decoder chained to it.
 *
 * <p>Watermarks are generated per partition from the Kafka timestamps, which are the events' own; they do not
 * decrease within a partition, so even without an out-of-orderness allowance nothing is late. The chain is one
 * vertex, whose id derives from the source's uid at any parallelism.
 */
public final class Sources {
    /** Interval of partition discovery. */
    private static final Duration PARTITION_DISCOVERY = Duration.ofSeconds(10);

    private final StreamExecutionEnvironment environment;
    private final JobDocument document;
    private final boolean bounded;
    private final List<DataStream<DeadLetter>> deadLetters = new ArrayList<>();

    /** @param bounded whether the job ends at the latest offsets of its start */
    public Sources(StreamExecutionEnvironment environment, JobDocument document, boolean bounded) {
        this.environment = environment;
        this.document = document;
        this.bounded = bounded;
    }

    /** Reads the events of one stream. To be called once per stream, however many queries read it. */
    public <E extends Event> DataStream<E> read(Stream stream, RecordType<E> type) {
        int parallelism = document.parallelism().of(stream.uid());
        SingleOutputStreamOperator<E> events = environment
                .fromSource(kafkaSource(stream), watermarks(), stream.uid(), RawRecord.TYPE)
                .uid(stream.uid())
                .setParallelism(parallelism)
                .process(new DecodeFunction<>(stream.kind(), type.getTypeClass()), type)
                .name(stream.uid() + "-decode")
                .uid(stream.uid() + "-decode")
                .setParallelism(parallelism);
        deadLetters.add(events.getSideOutput(DecodeFunction.DEAD_LETTERS));
        return events;
    }

    /** Returns the undecodable records of all streams read so far. */
    List<DataStream<DeadLetter>> deadLetters() {
        return deadLetters;
    }

    private Source<RawRecord, ?, ?> kafkaSource(Stream stream) {
        JobDocument.Kafka kafka = document.kafka();
        KafkaSourceBuilder<RawRecord> builder = KafkaSource.<RawRecord>builder()
                .setBootstrapServers(kafka.bootstrapServers())
                .setGroupId(kafka.groupId())
                .setClientIdPrefix(document.job() + "-" + stream.uid())
                .setTopics(kafka.topicOf(stream))
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setProperty("partition.discovery.interval.ms", Long.toString(PARTITION_DISCOVERY.toMillis()))
                .setProperty("max.partition.fetch.bytes", Integer.toString(kafka.partitionFetchBytes()))
                .setDeserializer(new RawRecordSchema());
        if (bounded) {
            return new EndingSource(builder.setBounded(OffsetsInitializer.latest()).build());
        }
        return builder.build();
    }

    private WatermarkStrategy<RawRecord> watermarks() {
        JobDocument.Source source = document.source();
        WatermarkStrategy<RawRecord> strategy =
                WatermarkStrategy.forBoundedOutOfOrderness(Duration.ofMillis(source.outOfOrdernessMs()));
        return source.idlenessMs() == 0
                ? strategy
                : strategy.withIdleness(Duration.ofMillis(source.idlenessMs()));
    }
}
