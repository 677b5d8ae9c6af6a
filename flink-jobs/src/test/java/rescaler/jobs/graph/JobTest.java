package rescaler.jobs.graph;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.typeutils.GenericTypeInfo;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.jobgraph.JobVertex;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamGraph;
import org.apache.flink.streaming.api.graph.StreamNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import rescaler.jobs.config.JobDocument;
import rescaler.jobs.config.JobDocumentReader;
import rescaler.jobs.config.Operator;

/** Goal: the graph's vertices are the document's operators, the same at any parallelism, and nothing needs Kryo. */
class JobTest {
    @ParameterizedTest
    @ValueSource(strings = {"nexmark", "psm"})
    void verticesDoNotDependOnParallelism(String name) throws Exception {
        String narrow = example(name);
        String wide = narrow.replaceAll("(?s)\\[parallelism\\.operators\\].*?\\n\\[", "[")
                .replaceAll("(?m)^default = \\d+", "default = 7");
        JobDocument document = JobDocumentReader.read(wide);
        assertEquals(vertices(JobDocumentReader.read(narrow)).keySet(), vertices(document).keySet());
        for (Map.Entry<String, JobVertex> vertex : vertices(document).entrySet()) {
            Operator operator = document.benchmark().operators().get(uid(vertex.getValue().getName()));
            boolean allWindow = operator.kind() == Operator.Kind.ALL_WINDOW;
            assertEquals(allWindow ? 1 : 7, vertex.getValue().getParallelism(), vertex.getValue().getName());
            assertEquals(allWindow ? 1 : 128, vertex.getValue().getMaxParallelism(), vertex.getValue().getName());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"nexmark", "psm"})
    void everyOperatorOfTheDocumentIsAVertex(String name) throws Exception {
        JobDocument document = JobDocumentReader.read(example(name));
        List<String> uids = new ArrayList<>();
        vertices(document).values().forEach(vertex -> uids.add(uid(vertex.getName())));
        Collections.sort(uids);
        assertEquals(document.benchmark().operators().keySet().stream().sorted().toList(), uids);
    }

    @ParameterizedTest
    @ValueSource(strings = {"nexmark", "psm"})
    void noTypeIsGeneric(String name) throws Exception {
        StreamGraph graph = graph(JobDocumentReader.read(example(name)));
        assertTrue(graph.getExecutionConfig().getSerializerConfig().hasGenericTypesDisabled());
        for (StreamNode node : graph.getStreamNodes()) {
            assertTrue(
                    node.getTypeSerializerOut() == null
                            || !node.getTypeSerializerOut().getClass().getName().contains("Kryo"),
                    node.getOperatorName());
        }
    }

    /** The check above would be meaningless if Flink accepted generic types. */
    @Test
    void aGenericTypeWouldBeRefused() throws Exception {
        StreamExecutionEnvironment environment = environment(JobDocumentReader.read(example("nexmark")));
        TypeInformation<Object> generic = new GenericTypeInfo<>(Object.class);
        assertThrows(
                UnsupportedOperationException.class,
                () -> generic.createSerializer(environment.getConfig().getSerializerConfig()));
        generic.createSerializer(new SerializerConfigImpl());
    }

    private static Map<String, JobVertex> vertices(JobDocument document) {
        JobGraph jobGraph = graph(document).getJobGraph();
        Map<String, JobVertex> vertices = new TreeMap<>();
        jobGraph.getVertices().forEach(vertex -> vertices.put(vertex.getID().toString(), vertex));
        return vertices;
    }

    private static StreamGraph graph(JobDocument document) {
        return environment(document).getStreamGraph();
    }

    private static StreamExecutionEnvironment environment(JobDocument document) {
        StreamExecutionEnvironment environment =
                StreamExecutionEnvironment.getExecutionEnvironment(new Configuration());
        Job.build(environment, document, false);
        return environment;
    }

    /** Returns an example document with every query enabled. */
    private static String example(String name) throws IOException {
        String text = Files.readString(Path.of("..", "configs", "jobs", name + ".toml"));
        return text.replace("enabled = false", "enabled = true");
    }

    /** Returns the uid of a vertex by its name. */
    private static String uid(String vertexName) {
        return vertexName.replaceFirst("^Source: ", "").replaceFirst(" -> .*", "").replaceFirst(": Writer$", "");
    }
}
