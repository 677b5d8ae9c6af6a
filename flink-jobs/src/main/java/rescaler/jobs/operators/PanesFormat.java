package rescaler.jobs.operators;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import rescaler.jobs.state.RecordFormat;

/** Serialisation of a key's panes; subclasses serialise one pane. */
public abstract class PanesFormat<P> implements RecordFormat<Panes<P>> {
    private static final long serialVersionUID = 1L;

    protected abstract void writePane(P pane, DataOutputView out) throws IOException;

    /** Reads a pane in that version of the query's format. */
    protected abstract P readPane(int version, DataInputView in) throws IOException;

    @Override
    public final void write(Panes<P> panes, DataOutputView out) throws IOException {
        out.writeLong(panes.firedUpTo());
        out.writeInt(panes.all().size());
        for (StoredPane<P> pane : panes.all()) {
            out.writeLong(pane.start());
            writePane(pane.pane(), out);
        }
    }

    @Override
    public final Panes<P> read(int version, DataInputView in) throws IOException {
        Panes<P> panes = new Panes<>(in.readLong());
        for (int left = in.readInt(); left > 0; left--) {
            long start = in.readLong();
            panes.add(start, readPane(version, in));
        }
        return panes;
    }

    /** Panes are mutable, so a copy is made through their bytes. */
    @Override
    public final Panes<P> copy(Panes<P> panes) {
        return copyThroughBytes(panes);
    }
}
