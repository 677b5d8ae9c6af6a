package rescaler.jobs.kafka;

import java.nio.charset.StandardCharsets;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.KafkaSinkBuilder;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import rescaler.jobs.config.Benchmark;
import rescaler.jobs.config.JobDocument;
import rescaler.jobs.config.Query;

/**
 * The sinks: one per query into the common results topic, and one for undecodable records.
 *
 * <p>Exactly-once uses Kafka transactions, committed at each checkpoint: consumers of committed records see a result
 * with the next checkpoint. At-least-once shows results immediately, and some twice after a failure.
 *
 * <p>Transactional ids come from a pool per sink: {@code rescaler/<job>/<query>/-<subtask>-<n>}, the same across
 * restarts. After a restart at any parallelism each subtask asks the broker which transactions of the prefix are
 * still open and aborts those that no savepoint refers to. (The other strategy uses a new id for each checkpoint,
 * which fills the broker's memory, and finds open transactions by guessing ids.)
 *
 * <p>Every exchange into a sink is round robin, so that the sink is never chained to its query and can be rescaled
 * in place.
 */
public final class Sinks {
    private final JobDocument document;

    public Sinks(JobDocument document) {
        this.document = document;
    }

    /** Writes a query's results, JSON objects in UTF-8, with the query's name as key. */
    public void writeResults(Query query, DataStream<byte[]> results) {
        KafkaRecordSerializationSchema<byte[]> schema = KafkaRecordSerializationSchema.<byte[]>builder()
                .setTopic(document.kafka().resultTopic())
                .setKeySerializationSchema(new FixedBytes(query.label()))
                .setValueSerializationSchema(new Unchanged())
                .build();
        connect(results, kafkaSink(query.label(), schema), query.sinkUid());
    }

    /** Writes the sources' undecodable records unchanged, with the problem in the headers. */
    public void writeDeadLetters(Sources sources) {
        DataStream<DeadLetter> letters = sources.deadLetters().stream()
                .reduce((left, right) -> left.union(right))
                .orElseThrow(() -> new IllegalStateException("no stream has been read yet"));
        KafkaRecordSerializationSchema<DeadLetter> schema = KafkaRecordSerializationSchema.<DeadLetter>builder()
                .setTopic(document.kafka().deadLetterTopic())
                .setValueSerializationSchema(new RawValue())
                .setHeaderProvider(Sinks::headers)
                .build();
        connect(letters, kafkaSink("dead-letter", schema), Benchmark.DEAD_LETTER_UID);
    }

    private <T> void connect(DataStream<T> rows, KafkaSink<T> sink, String uid) {
        rows.rebalance()
                .sinkTo(sink)
                .name(uid)
                .uid(uid)
                .setParallelism(document.parallelism().of(uid));
    }

    private <T> KafkaSink<T> kafkaSink(String label, KafkaRecordSerializationSchema<T> schema) {
        boolean exactlyOnce = document.sink().delivery() == JobDocument.Delivery.EXACTLY_ONCE;
        KafkaSinkBuilder<T> builder = KafkaSink.<T>builder()
                .setBootstrapServers(document.kafka().bootstrapServers())
                .setRecordSerializer(schema)
                .setDeliveryGuarantee(exactlyOnce ? DeliveryGuarantee.EXACTLY_ONCE : DeliveryGuarantee.AT_LEAST_ONCE);
        if (exactlyOnce) {
            builder.setTransactionalIdPrefix("rescaler/" + document.job() + "/" + label + "/")
                    .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING)
                    .setProperty("transaction.timeout.ms", Integer.toString(document.sink().transactionTimeoutMs()));
        }
        return builder.build();
    }

    private static Headers headers(DeadLetter letter) {
        return new RecordHeaders()
                .add("topic", utf8(letter.record().topic()))
                .add("partition", utf8(Integer.toString(letter.record().partition())))
                .add("offset", utf8(Long.toString(letter.record().offset())))
                .add("problem", utf8(letter.problem()))
                .add("problem-offset", utf8(Integer.toString(letter.problemOffset())))
                .add("message", utf8(letter.message()));
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** The same key for every record. */
    private static final class FixedBytes implements SerializationSchema<byte[]> {
        private static final long serialVersionUID = 1L;
        private final byte[] key;

        FixedBytes(String key) {
            this.key = utf8(key);
        }

        @Override
        public byte[] serialize(byte[] row) {
            return key;
        }
    }

    /** A row is already serialised. */
    private static final class Unchanged implements SerializationSchema<byte[]> {
        private static final long serialVersionUID = 1L;

        @Override
        public byte[] serialize(byte[] row) {
            return row;
        }
    }

    /** The undecodable record's own value. */
    private static final class RawValue implements SerializationSchema<DeadLetter> {
        private static final long serialVersionUID = 1L;

        @Override
        public byte[] serialize(DeadLetter letter) {
            return letter.record().value();
        }
    }
}
