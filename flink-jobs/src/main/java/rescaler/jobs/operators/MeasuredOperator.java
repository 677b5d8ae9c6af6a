package rescaler.jobs.operators;

import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.metrics.ArtificialWork;
import rescaler.jobs.metrics.OperatorProbe;

/**
 * Base of every query operator: metrics and artificial cost.
 *
 * <p>The queries are operators and not process functions, because several of them emit with their own timestamps
 * (see {@code AuctionBidOperator}), flush caches before a checkpoint, and avoid the wrapper objects of the function
 * API.
 */
public abstract class MeasuredOperator<OUT> extends AbstractStreamOperator<OUT> {
    private static final long serialVersionUID = 1L;

    private final OperatorSettings settings;
    private final int inputCount;

    protected transient OperatorProbe probe;
    protected transient ArtificialWork work;

    protected MeasuredOperator(OperatorSettings settings, int inputCount) {
        this.settings = settings;
        this.inputCount = inputCount;
    }

    protected final OperatorSettings settings() {
        return settings;
    }

    @Override
    public void open() throws Exception {
        super.open();
        int parallelism = getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks();
        probe = new OperatorProbe(getMetricGroup(), settings, inputCount, parallelism);
        work = new ArtificialWork(settings.work());
    }
}
