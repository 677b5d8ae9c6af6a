package rescaler.autoscaler;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;

/** The driver's own requests to Flink's REST interface: the running job, its configuration, and its requirements. */
final class FlinkRest {
    private static final Duration TIMEOUT = Duration.ofSeconds(10);
    private static final Set<String> ENDED = Set.of("FINISHED", "CANCELED", "FAILED");
    private static final ObjectMapper JSON = new ObjectMapper();

    private final URI base;
    private final HttpClient http = HttpClient.newBuilder().connectTimeout(TIMEOUT).build();

    /** An entry of the job overview. */
    record Job(String id, String name, String state) {}

    /** Bounds of a vertex's parallelism. */
    record Bounds(int lower, int upper) {}

    FlinkRest(URI base) {
        this.base = base;
    }

    /** Finds the unfinished job of that name or id. */
    Optional<Job> find(String nameOrId) throws IOException, InterruptedException {
        for (JsonNode node : get("/jobs/overview").path("jobs")) {
            Job job = new Job(
                    node.path("jid").asText(), node.path("name").asText(), node.path("state").asText());
            if (!ENDED.contains(job.state()) && (job.id().equals(nameOrId) || job.name().equals(nameOrId))) {
                return Optional.of(job);
            }
        }
        return Optional.empty();
    }

    /** Fetches the job's effective configuration. */
    Map<String, String> configuration(String job) throws IOException, InterruptedException {
        Map<String, String> entries = new TreeMap<>();
        for (JsonNode entry : get("/jobs/" + job + "/jobmanager/config")) {
            entries.put(entry.path("key").asText(), entry.path("value").asText());
        }
        return entries;
    }

    /** Fetches the bounds of each vertex's parallelism. */
    Map<String, Bounds> requirements(String job) throws IOException, InterruptedException {
        Map<String, Bounds> all = new TreeMap<>();
        get("/jobs/" + job + "/resource-requirements").fields().forEachRemaining(vertex -> {
            JsonNode bounds = vertex.getValue().path("parallelism");
            all.put(
                    vertex.getKey(),
                    new Bounds(
                            bounds.path("lowerBound").asInt(),
                            bounds.path("upperBound").asInt()));
        });
        return all;
    }

    /** Sets the bounds of each vertex's parallelism; every vertex must be named. */
    void require(String job, Map<String, Bounds> requirements) throws IOException, InterruptedException {
        ObjectNode body = JSON.createObjectNode();
        requirements.forEach((vertex, bounds) -> body.putObject(vertex)
                .putObject("parallelism")
                .put("lowerBound", bounds.lower())
                .put("upperBound", bounds.upper()));
        send(request("/jobs/" + job + "/resource-requirements")
                .header("Content-Type", "application/json")
                .PUT(HttpRequest.BodyPublishers.ofString(body.toString())));
    }

    private JsonNode get(String path) throws IOException, InterruptedException {
        return JSON.readTree(send(request(path).GET()));
    }

    private HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create(base + path)).timeout(TIMEOUT);
    }

    private String send(HttpRequest.Builder builder) throws IOException, InterruptedException {
        HttpRequest request = builder.build();
        HttpResponse<String> response = http.send(request, HttpResponse.BodyHandlers.ofString());
        if (response.statusCode() / 100 != 2) {
            throw new IOException(request.method() + " " + request.uri() + " was answered by " + response.statusCode()
                    + ": " + response.body());
        }
        return response.body();
    }
}
