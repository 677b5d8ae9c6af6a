package rescaler.jobs;

import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import rescaler.jobs.config.JobDocument;
import rescaler.jobs.config.JobDocumentReader;
import rescaler.jobs.config.PartitionRule;
import rescaler.jobs.graph.Job;
import rescaler.jobs.kafka.Topics;

/**
 * Entry class of the jar: runs the job that a job document describes.
 *
 * <p>{@code --document-text TEXT} takes the document itself, {@code --document FILE} a file on the machine where the
 * program runs (the client, or the JobManager when the jar is run by REST). {@code --bounded} ends the job at the
 * records that are in Kafka when it starts. A rejected document fails the submission with a message that names key
 * and remedy.
 */
public final class Main {
    private Main() {}

    public static void main(String[] args) throws Exception {
        Arguments arguments = Arguments.parse(args);
        JobDocument document = JobDocumentReader.read(arguments.document());
        if (PartitionRule.appliesTo(document)) {
            PartitionRule.check(document, Topics.partitions(document, PartitionRule.streams(document)));
        }
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment();
        Job.build(environment, document, arguments.bounded());
        environment.execute(document.job());
    }
}
