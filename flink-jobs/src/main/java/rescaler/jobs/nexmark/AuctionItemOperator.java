package rescaler.jobs.nexmark;

import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.metrics.Counter;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.api.operators.InternalTimerService;
import org.apache.flink.streaming.api.operators.TwoInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import rescaler.jobs.config.OperatorSettings;
import rescaler.jobs.events.Auction;
import rescaler.jobs.events.Item;
import rescaler.jobs.operators.EventTimer;
import rescaler.jobs.operators.MeasuredOperator;
import rescaler.jobs.state.CachedState;

/**
 * {@code q4-auction-item}: joins every auction with the category of its item; keyed by item.
 *
 * <p>An item has exactly one auction, so the pair is emitted as soon as both are present, and no state remains.
 * Whichever comes first waits until the watermark reaches its timestamp plus the horizon; a pair further apart than
 * the horizon is not joined, in either reading order. The result has the later of the two timestamps (see {@link
 * AuctionBidOperator}).
 */
final class AuctionItemOperator extends MeasuredOperator<CategorizedAuction>
        implements TwoInputStreamOperator<Item, Auction, CategorizedAuction> {
    private static final long serialVersionUID = 1L;

    private final long horizonMs;

    private transient CachedState<WaitingItem> items;
    private transient CachedState<Auction> auctions;
    private transient InternalTimerService<VoidNamespace> horizons;
    private transient Counter expiredItems;
    private transient Counter expiredAuctions;

    AuctionItemOperator(OperatorSettings settings, long horizonMs) {
        super(settings, 2);
        this.horizonMs = horizonMs;
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        var store = context.getKeyedStateStore();
        items = new CachedState<>(
                this,
                store.getState(new ValueStateDescriptor<>("item", WaitingItem.TYPE.serializer())),
                settings().cachedKeys());
        auctions = new CachedState<>(
                this,
                store.getState(new ValueStateDescriptor<>("auction", Auction.TYPE.serializer())),
                settings().cachedKeys());
    }

    @Override
    public void open() throws Exception {
        super.open();
        horizons = getInternalTimerService(
                "horizons", VoidNamespaceSerializer.INSTANCE, (EventTimer<Long>) this::expire);
        expiredItems = probe.counter("expiredItems");
        expiredAuctions = probe.counter("expiredAuctions");
    }

    @Override
    public void processElement1(StreamRecord<Item> element) throws Exception {
        Item item = element.getValue();
        long begun = probe.begin(0, item.ingestionTime());
        work.spend();
        WaitingItem waiting = new WaitingItem(item.timestamp(), item.categoryId(), item.ingestionTime());
        Auction auction = auctions.get();
        if (auction != null && arePair(waiting, auction)) {
            auctions.remove();
            stopWaiting(auction.timestamp());
            emit(waiting, auction);
        } else if (items.get() == null) {
            items.put(waiting);
            startWaiting(waiting.timestamp());
        }
        probe.end(0, begun);
    }

    @Override
    public void processElement2(StreamRecord<Auction> element) throws Exception {
        Auction auction = element.getValue();
        long begun = probe.begin(1, auction.ingestionTime());
        work.spend();
        WaitingItem item = items.get();
        if (item != null && arePair(item, auction)) {
            items.remove();
            stopWaiting(item.timestamp());
            emit(item, auction);
        } else if (auctions.get() == null) {
            auctions.put(auction);
            startWaiting(auction.timestamp());
        }
        probe.end(1, begun);
    }

    private boolean arePair(WaitingItem item, Auction auction) {
        return Math.abs(item.timestamp() - auction.timestamp()) <= horizonMs;
    }

    private void startWaiting(long timestamp) {
        horizons.registerEventTimeTimer(VoidNamespace.INSTANCE, timestamp + horizonMs);
    }

    private void stopWaiting(long timestamp) {
        horizons.deleteEventTimeTimer(VoidNamespace.INSTANCE, timestamp + horizonMs);
    }

    private void emit(WaitingItem item, Auction auction) {
        long timestamp = Math.max(item.timestamp(), auction.timestamp());
        CategorizedAuction categorized = new CategorizedAuction(
                timestamp,
                auction.auctionId(),
                item.categoryId(),
                auction.initialPrice(),
                auction.start(),
                auction.end(),
                Math.max(item.ingestionTime(), auction.ingestionTime()));
        output.collect(new StreamRecord<>(categorized, timestamp));
    }

    private void expire(InternalTimer<Long, VoidNamespace> timer) throws Exception {
        WaitingItem item = items.get();
        if (item != null && item.timestamp() + horizonMs <= timer.getTimestamp()) {
            items.remove();
            expiredItems.inc();
        }
        Auction auction = auctions.get();
        if (auction != null && auction.timestamp() + horizonMs <= timer.getTimestamp()) {
            auctions.remove();
            expiredAuctions.inc();
        }
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        items.flush();
        auctions.flush();
        super.snapshotState(context);
    }
}
