package rescaler.jobs.nexmark;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
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
import rescaler.jobs.events.Bid;
import rescaler.jobs.operators.EventTimer;
import rescaler.jobs.operators.MeasuredOperator;
import rescaler.jobs.state.CachedState;

/**
 * Joins bids with their auction; keyed by auction on both inputs.
 *
 * <p>Results do not depend on the order in which the two inputs are read. A bid that comes first waits. It counts if
 * its auction is at most the horizon younger, whichever came first, and if the bid is before the auction's end. A
 * result has the later of the two timestamps, as in Flink's own interval join, and is therefore never late
 * downstream: the later of the two was not late here.
 *
 * <p>All state expires: the auction's when the watermark reaches its end, a waiting bid's when the watermark reaches
 * its timestamp plus the horizon. An even later bid finds no auction, waits for its horizon and is then counted as
 * expired and not as late, because the auction is gone.
 *
 * @param <A> input 1, the information about an auction
 */
abstract class AuctionBidOperator<A, OUT> extends MeasuredOperator<OUT>
        implements TwoInputStreamOperator<A, Bid, OUT> {
    private static final long serialVersionUID = 1L;

    private final long waitingBidHorizonMs;

    private transient CachedState<OpenAuction> auctions;
    private transient ListState<Bid> waitingBids;
    private transient InternalTimerService<VoidNamespace> auctionEnds;
    private transient InternalTimerService<VoidNamespace> bidHorizons;
    private transient Counter expiredBids;
    private transient Counter lateBids;

    AuctionBidOperator(OperatorSettings settings, long waitingBidHorizonMs) {
        super(settings, 2);
        this.waitingBidHorizonMs = waitingBidHorizonMs;
    }

    /** Returns the state of an auction. */
    protected abstract OpenAuction remember(A auction);

    /** Returns the auction's ingestion time, ms since the epoch. */
    protected abstract long ingestionTime(A auction);

    /**
     * Processes a bid that is neither late nor expired.
     *
     * @return the new state of the auction; the same object if unchanged
     */
    protected abstract OpenAuction bid(OpenAuction auction, Bid bid);

    /** Called at the auction's end, when no more bids can count. */
    protected abstract void ended(long auctionId, OpenAuction auction);

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        ValueState<OpenAuction> state = context.getKeyedStateStore()
                .getState(new ValueStateDescriptor<>("auction", OpenAuction.TYPE.serializer()));
        auctions = new CachedState<>(this, state, settings().cachedKeys());
        waitingBids = context.getKeyedStateStore()
                .getListState(new ListStateDescriptor<>("waiting-bids", Bid.TYPE.serializer()));
    }

    @Override
    public void open() throws Exception {
        super.open();
        auctionEnds = getInternalTimerService(
                "auction-ends", VoidNamespaceSerializer.INSTANCE, (EventTimer<Long>) this::endAuction);
        bidHorizons = getInternalTimerService(
                "bid-horizons", VoidNamespaceSerializer.INSTANCE, (EventTimer<Long>) this::expireBids);
        expiredBids = probe.counter("expiredBids");
        lateBids = probe.counter("lateBids");
    }

    @Override
    public void processElement1(StreamRecord<A> element) throws Exception {
        A auction = element.getValue();
        long begun = probe.begin(0, ingestionTime(auction));
        work.spend();
        if (auctions.get() == null) {
            OpenAuction opened = remember(auction);
            auctionEnds.registerEventTimeTimer(VoidNamespace.INSTANCE, opened.end() - 1);
            auctions.put(takeWaitingBids(opened));
        }
        probe.end(0, begun);
    }

    @Override
    public void processElement2(StreamRecord<Bid> element) throws Exception {
        Bid bid = element.getValue();
        long begun = probe.begin(1, bid.ingestionTime());
        work.spend();
        OpenAuction auction = auctions.get();
        if (auction == null) {
            waitingBids.add(bid);
            bidHorizons.registerEventTimeTimer(VoidNamespace.INSTANCE, bid.timestamp() + waitingBidHorizonMs);
        } else {
            OpenAuction changed = admit(auction, bid);
            if (changed != auction) {
                auctions.put(changed);
            }
        }
        probe.end(1, begun);
    }

    private OpenAuction takeWaitingBids(OpenAuction opened) throws Exception {
        Iterable<Bid> waiting = waitingBids.get();
        OpenAuction auction = opened;
        boolean any = false;
        for (Bid bid : waiting == null ? List.<Bid>of() : waiting) {
            auction = admit(auction, bid);
            any = true;
        }
        if (any) {
            waitingBids.clear();
        }
        return auction;
    }

    private OpenAuction admit(OpenAuction auction, Bid bid) {
        if (bid.timestamp() >= auction.end()) {
            lateBids.inc();
            return auction;
        }
        if (bid.timestamp() + waitingBidHorizonMs < auction.timestamp()) {
            expiredBids.inc();
            return auction;
        }
        return bid(auction, bid);
    }

    private void endAuction(InternalTimer<Long, VoidNamespace> timer) throws Exception {
        OpenAuction auction = auctions.get();
        if (auction != null) {
            long begun = probe.beginFiring();
            ended(timer.getKey(), auction);
            auctions.remove();
            probe.endFiring(begun);
        }
    }

    private void expireBids(InternalTimer<Long, VoidNamespace> timer) throws Exception {
        Iterable<Bid> waiting = waitingBids.get();
        List<Bid> kept = new ArrayList<>();
        for (Bid bid : waiting == null ? List.<Bid>of() : waiting) {
            if (bid.timestamp() + waitingBidHorizonMs <= timer.getTimestamp()) {
                expiredBids.inc();
            } else {
                kept.add(bid);
            }
        }
        waitingBids.update(kept);
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        auctions.flush();
        super.snapshotState(context);
    }
}
