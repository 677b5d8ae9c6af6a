package rescaler.autoscaler;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * A fake of Flink's REST interface with one job of a source and a sink, both always busy. With each request of the
 * job, a thousand more records have been read and two thousand more are waiting.
 */
final class TestingFlink implements AutoCloseable {
    static final String JOB = "a".repeat(32);
    static final String SOURCE = "b".repeat(32);
    static final String SINK = "c".repeat(32);

    private final HttpServer server;
    private final List<String> required = new ArrayList<>();
    private String state = "RUNNING";
    private int looks;

    TestingFlink() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", this::handle);
        server.start();
    }

    URI address() {
        return URI.create("http://127.0.0.1:" + server.getAddress().getPort());
    }

    /** Returns the bodies of all requirement changes. */
    synchronized List<String> required() {
        return List.copyOf(required);
    }

    synchronized void setState(String state) {
        this.state = state;
    }

    @Override
    public void close() {
        server.stop(0);
    }

    private synchronized void handle(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath().replaceFirst("^/v\\d+", "");
        String query = exchange.getRequestURI().getQuery();
        String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        String answer;
        if (exchange.getRequestMethod().equals("PUT")) {
            required.add(body);
            answer = "{}";
        } else {
            answer = answer(path, query == null ? "" : query);
        }
        byte[] bytes = answer.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().add("Content-Type", "application/json");
        exchange.sendResponseHeaders(answer.isEmpty() ? 404 : 200, bytes.length);
        exchange.getResponseBody().write(bytes);
        exchange.close();
    }

    private String answer(String path, String query) {
        if (path.equals("/jobs/overview")) {
            return "{\"jobs\":[" + overview("d".repeat(32), "FAILED") + "," + overview(JOB, state) + "]}";
        } else if (path.equals("/jobs/" + JOB)) {
            looks++;
            return job();
        } else if (path.endsWith("/jobmanager/config")) {
            return "[{\"key\":\"jobmanager.scheduler\",\"value\":\"adaptive\"}]";
        } else if (path.endsWith("/resource-requirements")) {
            return "{" + requirement(SOURCE) + "," + requirement(SINK) + "}";
        } else if (path.endsWith("/subtasks/metrics")) {
            return metrics(query, path.contains(SOURCE) ? sourceMetrics() : Map.of("busyTimeMsPerSecond", 1000.0));
        } else if (path.equals("/taskmanagers/metrics")) {
            return metrics(query, Map.of(
                    "Status.JVM.Memory.Heap.Max", 1e9,
                    "Status.JVM.Memory.Heap.Used", 1e8,
                    "Status.Flink.Memory.Managed.Used", 0.0,
                    "Status.JVM.Memory.Metaspace.Used", 1e7));
        } else if (path.equals("/jobmanager/metrics")) {
            return "[{\"id\":\"taskSlotsTotal\",\"value\":\"8\"},{\"id\":\"taskSlotsAvailable\",\"value\":\"7\"}]";
        }
        return "";
    }

    private Map<String, Double> sourceMetrics() {
        return Map.of(
                "busyTimeMsPerSecond", 1000.0,
                "backPressuredTimeMsPerSecond", 0.0,
                "Source__a.numRecordsIn", 1000.0 * looks,
                "Source__a.numRecordsOut", 1000.0 * looks,
                "Source__a.numRecordsInPerSecond", 1000.0,
                "Source__a.KafkaSourceReader.pendingRecords", 2000.0 * looks);
    }

    private static String overview(String id, String state) {
        return ("{'jid':'" + id + "','name':'nexmark','state':'" + state
                        + "','start-time':1,'end-time':-1,'duration':1,'last-modification':1,'tasks':{}}")
                .replace('\'', '"');
    }

    private static String requirement(String vertex) {
        return "\"" + vertex + "\":{\"parallelism\":{\"lowerBound\":1,\"upperBound\":1}}";
    }

    /** Returns names, or the requested values; empty if one of them is unknown, as in Flink. */
    private static String metrics(String query, Map<String, Double> known) {
        String get = Arrays.stream(query.split("&"))
                .filter(part -> part.startsWith("get="))
                .map(part -> part.substring(4))
                .findAny()
                .orElse("");
        List<String> wanted = get.isEmpty() ? List.copyOf(known.keySet()) : List.of(get.split(","));
        if (!known.keySet().containsAll(wanted)) {
            return "[]";
        }
        return wanted.stream()
                .map(name -> get.isEmpty() ? "{\"id\":\"" + name + "\"}" : metric(name, known.get(name)))
                .collect(Collectors.joining(",", "[", "]"));
    }

    private static String metric(String name, double value) {
        return "{\"id\":\"" + name + "\",\"min\":" + value + ",\"max\":" + value + ",\"avg\":" + value + ",\"sum\":" + value
                + "}";
    }

    private String job() {
        int read = 1000 * looks;
        return ("{'jid':'" + JOB + "','name':'nexmark','isStoppable':false,'state':'RUNNING','start-time':1,'end-time':-1,"
                        + "'duration':1,'maxParallelism':-1,'now':2,'timestamps':{'CREATED':1,'RUNNING':1},'vertices':["
                        + vertex(SOURCE, "Source: a", 0, read) + "," + vertex(SINK, "b", read, 0)
                        + "],'status-counts':{'RUNNING':2},'plan':{'jid':'" + JOB
                        + "','name':'nexmark','type':'STREAMING','nodes':[" + "{'id':'" + SOURCE
                        + "','parallelism':1},{'id':'" + SINK + "','parallelism':1,'inputs':[{'num':0,'id':'" + SOURCE
                        + "','ship_strategy':'REBALANCE'}]}]}}")
                .replace('\'', '"');
    }

    private static String vertex(String id, String name, int in, int out) {
        return "{'id':'" + id + "','name':'" + name + "','maxParallelism':128,'parallelism':1,'status':'RUNNING','start-time':1,"
                + "'end-time':-1,'duration':1,'tasks':{'RUNNING':1},'slotSharingGroupId':'" + "e".repeat(32)
                + "','metrics':{'read-bytes':0,'read-bytes-complete':true,'write-bytes':0,'write-bytes-complete':true,"
                + "'read-records':" + in + ",'read-records-complete':true,'write-records':" + out
                + ",'write-records-complete':true,'accumulated-backpressured-time':0,'accumulated-idle-time':0,"
                + "'accumulated-busy-time':0.0}}";
    }
}
