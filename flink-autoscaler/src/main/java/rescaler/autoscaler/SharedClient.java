package rescaler.autoscaler;

import java.net.URI;
import org.apache.flink.client.program.rest.RestClusterClient;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.highavailability.nonha.standalone.StandaloneClientHAServices;

/**
 * A Flink client kept for the whole run. The library requests and closes a client for every request; creating each
 * one would cost threads and connections, at the expense of the job on a small machine.
 */
final class SharedClient extends RestClusterClient<String> {
    SharedClient(Configuration configuration, URI flink) throws Exception {
        super(configuration, "flink", (ignored, onError) -> new StandaloneClientHAServices(flink.toString()));
    }

    @Override
    public void close() {
        // Kept until the process ends.
    }
}
