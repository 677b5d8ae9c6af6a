package rescaler.autoscaler;

import java.net.URI;
import org.apache.flink.client.program.rest.RestClusterClient;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.highavailability.nonha.standalone.StandaloneClientHAServices;

/**
 * Flink's client, kept for the whole run. The library asks for a client and closes it for every request; a new one each time costs
 * threads and connections, which on a small machine the job would pay for.
 */
final class SharedClient extends RestClusterClient<String> {
    SharedClient(Configuration configuration, URI flink) throws Exception {
        super(configuration, "flink", (ignored, onError) -> new StandaloneClientHAServices(flink.toString()));
    }

    @Override
    public void close() {
        // Ends with the process.
    }
}
