package rescaler.jobs.psm;

import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import rescaler.jobs.config.Query;
import rescaler.jobs.config.QueryOption;
import rescaler.jobs.config.Stream;
import rescaler.jobs.events.Click;
import rescaler.jobs.events.Impression;
import rescaler.jobs.events.Search;
import rescaler.jobs.graph.GraphBuilder;
import rescaler.jobs.operators.Windows;

/** The graph of the price-comparison site's queries. */
public final class PsmGraph {
    private final GraphBuilder graph;

    public PsmGraph(GraphBuilder graph) {
        this.graph = graph;
    }

    /** Adds every enabled query. */
    public void build() {
        graph.ifEnabled(Query.PSM_Q1, this::bestCategory);
        graph.ifEnabled(Query.PSM_Q2, this::productMedian);
        graph.ifEnabled(Query.PSM_Q3, this::ownerMedian);
        graph.ifEnabled(Query.PSM_Q4, this::impressionsPerClick);
        graph.ifEnabled(Query.PSM_Q5, this::searchesPerClick);
    }

    private void bestCategory() {
        String uid = "q1-best-category";
        long windowSizeMs = graph.option(Query.PSM_Q1, QueryOption.WINDOW_SIZE_MS);
        ofOwner(Query.PSM_Q1, uid, new OwnerClicksOperator.BestCategory(graph.settings(uid), windowSizeMs));
    }

    private void ownerMedian() {
        String uid = "q3-owner-median";
        long windowSizeMs = graph.option(Query.PSM_Q3, QueryOption.WINDOW_SIZE_MS);
        ofOwner(Query.PSM_Q3, uid, new OwnerClicksOperator.MedianPrice(graph.settings(uid), windowSizeMs));
    }

    private void ofOwner(Query query, String uid, OneInputStreamOperator<Click, byte[]> operator) {
        graph.writeResults(query, graph.keyed(uid, clicks().keyBy(Click::owner), GraphBuilder.ROW, operator));
    }

    private void productMedian() {
        String uid = "q2-product-median";
        ProductMedianOperator operator = new ProductMedianOperator(
                graph.settings(uid),
                graph.option(Query.PSM_Q2, QueryOption.WINDOW_SIZE_RECORDS),
                graph.option(Query.PSM_Q2, QueryOption.WINDOW_SLIDE_RECORDS),
                graph.option(Query.PSM_Q2, QueryOption.STATE_TTL_MS));
        graph.writeResults(Query.PSM_Q2, graph.keyed(uid, clicksByProduct(), GraphBuilder.ROW, operator));
    }

    private void impressionsPerClick() {
        String uid = "q4-impressions-per-click";
        Windows windows = new Windows(
                graph.option(Query.PSM_Q4, QueryOption.WINDOW_SIZE_MS),
                graph.option(Query.PSM_Q4, QueryOption.WINDOW_SLIDE_MS));
        DataStream<byte[]> results = graph.keyed(
                uid,
                graph.events(Stream.IMPRESSION, Impression.TYPE)
                        .keyBy(Impression::product)
                        .connect(clicksByProduct()),
                GraphBuilder.ROW,
                new PerClickOperator<>(graph.settings(uid), windows, "q4", "impressions"));
        graph.writeResults(Query.PSM_Q4, results);
    }

    private void searchesPerClick() {
        String uid = "q5-searches-per-click";
        Windows windows = Windows.tumbling(graph.option(Query.PSM_Q5, QueryOption.WINDOW_SIZE_MS));
        DataStream<byte[]> results = graph.keyed(
                uid,
                graph.events(Stream.SEARCH, Search.TYPE).keyBy(Search::product).connect(clicksByProduct()),
                GraphBuilder.ROW,
                new PerClickOperator<>(graph.settings(uid), windows, "q5", "searches"));
        graph.writeResults(Query.PSM_Q5, results);
    }

    private DataStream<Click> clicks() {
        return graph.events(Stream.CLICK, Click.TYPE);
    }

    private KeyedStream<Click, Long> clicksByProduct() {
        return clicks().keyBy(Click::product);
    }
}
