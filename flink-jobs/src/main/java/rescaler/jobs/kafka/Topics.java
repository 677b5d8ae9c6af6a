package rescaler.jobs.kafka;

import java.time.Duration;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.TopicDescription;
import rescaler.jobs.config.JobDocument;
import rescaler.jobs.config.Stream;

/** Queries Kafka about the topics before the job is submitted. */
public final class Topics {
    /** Timeout of all requests together; a slower broker could not feed a job either. */
    private static final Duration TIMEOUT = Duration.ofSeconds(15);

    private Topics() {}

    /** Returns the number of partitions of each stream's topic. */
    public static Map<Stream, Integer> partitions(JobDocument document, Set<Stream> streams)
            throws InterruptedException {
        JobDocument.Kafka kafka = document.kafka();
        List<String> names = streams.stream().map(kafka::topicOf).toList();
        String servers = kafka.bootstrapServers();
        Map<String, Object> settings = Map.of(
                AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, servers,
                AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, (int) TIMEOUT.toMillis(),
                AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, (int) TIMEOUT.toMillis());
        Admin admin = Admin.create(settings);
        try {
            Map<String, TopicDescription> topics = admin.describeTopics(names).allTopicNames().get();
            Map<Stream, Integer> partitions = new EnumMap<>(Stream.class);
            streams.forEach(stream -> partitions.put(stream, topics.get(kafka.topicOf(stream)).partitions().size()));
            return partitions;
        } catch (ExecutionException e) {
            throw new IllegalStateException(
                    "the partitions of " + names + " cannot be looked up at " + servers + " (`kafka.bootstrap_servers`),"
                            + " which `source.idleness_ms` = 0 makes necessary: " + e.getCause().getMessage(),
                    e.getCause());
        } finally {
            admin.close(Duration.ZERO);
        }
    }
}
