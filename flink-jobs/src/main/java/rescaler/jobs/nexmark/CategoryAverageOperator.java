package rescaler.jobs.nexmark;

import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.operators.ExpiringOperator;
import rescaler.jobs.operators.JsonRow;

/**
 * {@code q4-category-average}: the running average of closing prices; keyed by category.
 *
 * <p>Prices are summed as integers, so that the average does not depend on the order of auctions. A category expires
 * when no auction of it has ended for the time to live. {@code eventLatency} counts from the auction's end.
 */
final class CategoryAverageOperator extends ExpiringOperator<ClosedAuction, CategoryTotal> {
    private static final long serialVersionUID = 1L;

    CategoryAverageOperator(OperatorSettings settings, long stateTtlMs) {
        super(settings, "total", CategoryTotal.TYPE, stateTtlMs);
    }

    @Override
    protected long ingestionTime(ClosedAuction closed) {
        return closed.newestIngestionTime();
    }

    @Override
    protected long eventTime(ClosedAuction closed) {
        return closed.end();
    }

    @Override
    protected long newest(CategoryTotal total) {
        return total.newestEnd();
    }

    @Override
    protected CategoryTotal add(CategoryTotal before, StreamRecord<ClosedAuction> element) {
        ClosedAuction closed = element.getValue();
        boolean first = before == null || wasSilent(before.newestEnd(), closed.end());
        CategoryTotal total = (first ? new CategoryTotal(0, 0, closed.end()) : before).with(closed);
        JsonRow row = new JsonRow("q4")
                .with("category_id", closed.subject())
                .with("closed_auctions", total.auctions())
                .with("average_price", (double) total.priceSum() / total.auctions());
        output.collect(new StreamRecord<>(row.toBytes(), element.getTimestamp()));
        results.emitted(closed.newestIngestionTime(), closed.end());
        return total;
    }
}
