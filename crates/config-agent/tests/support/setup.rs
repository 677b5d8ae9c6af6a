//! One agent's world, and applying a document in it.

use config_agent::{Agent, Config, Phase};
use job_config::{JobDocument, State};

use super::drop_server::Drop;
use super::scripted_flink::ScriptedFlink;
use super::{agent, config, ended};

/// A scripted Flink, the real drop, and a configuration that joins them.
pub struct Setup {
    pub flink: ScriptedFlink,
    pub drop: Drop,
    pub config: Config,
    pub folder: tempfile::TempDir,
}

impl Setup {
    pub async fn new() -> Self {
        let (flink, _) = ScriptedFlink::start().await;
        let drop = Drop::start().await;
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), &drop.url, &flink.url);
        Self { flink, drop, config, folder }
    }

    /// Publishes the document and lets an agent apply it.
    pub async fn apply(&self, document: &JobDocument) -> Phase {
        self.drop.publish(document).await;
        let agent = agent(&self.config).await;
        run_until_ended(&agent, document.generation()).await
    }

    /// The states that were reported of this generation.
    pub async fn states(&self, generation: u64) -> Vec<State> {
        let reports = self.drop.reports().await;
        let of_generation = reports.iter().filter(|report| report.generation == generation);
        let (sequences, states): (Vec<_>, Vec<_>) =
            of_generation.map(|report| (report.sequence, report.state)).unzip();
        assert_eq!(sequences, (1..=u32::try_from(states.len()).unwrap()).collect::<Vec<_>>());
        states
    }

    /// Stops and submissions that really happened.
    pub fn counts(&self) -> (u32, u32) {
        self.flink.with(|world| (world.stops, world.submissions))
    }
}

/// Runs the agent until the change of this generation is over.
pub async fn run_until_ended(agent: &Agent, generation: u64) -> Phase {
    tokio::select! {
        result = agent.run() => panic!("{result:?}"),
        phase = ended(agent.book(), generation) => phase,
    }
}
