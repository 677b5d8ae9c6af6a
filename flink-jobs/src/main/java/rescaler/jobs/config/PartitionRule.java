package rescaler.jobs.config;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * The one rule that needs Kafka: every subtask of a source must get a partition.
 *
 * <p>A subtask without one never sees a timestamp. Where partitions are never idle ({@code source.idleness_ms} = 0)
 * it would hold back the watermark forever, and no window would ever fire.
 */
public final class PartitionRule {
    private PartitionRule() {}

    /** Returns whether partitions have to be counted. */
    public static boolean appliesTo(JobDocument document) {
        return document.source().idlenessMs() == 0;
    }

    /** Returns the streams that the document's queries read. */
    public static Set<Stream> streams(JobDocument document) {
        Set<Stream> streams = new TreeSet<>();
        document.queries().keySet().forEach(query -> streams.addAll(query.streams()));
        return streams;
    }

    /**
     * Rejects a document whose sources have more subtasks than their topics have partitions.
     *
     * @param partitions number of partitions of each stream's topic
     */
    public static void check(JobDocument document, Map<Stream, Integer> partitions) throws JobDocumentException {
        List<String> problems = new ArrayList<>();
        for (Stream stream : streams(document)) {
            int parallelism = document.parallelism().of(stream.uid());
            int most = partitions.get(stream);
            if (parallelism > most) {
                problems.add("`" + key(document, stream) + "`: `" + stream.uid() + "` runs at " + parallelism
                        + ", but topic " + document.kafka().topicOf(stream) + " has no more partitions than " + most
                        + ", and with `source.idleness_ms` = 0 a subtask without one holds back time for good; use"
                        + " at most " + most + ", or give `source.idleness_ms` a value above 0");
            }
        }
        if (!problems.isEmpty()) {
            throw new JobDocumentException(problems);
        }
    }

    private static String key(JobDocument document, Stream stream) {
        return document.parallelism().operators().containsKey(stream.uid())
                ? "parallelism.operators." + stream.uid()
                : "parallelism.default";
    }
}
