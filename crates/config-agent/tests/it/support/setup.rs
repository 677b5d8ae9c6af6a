//! The environment of one agent, and applying a document in it.

use config_agent::{Agent, Config, Phase};
use job_config::{ChangeState, JobDocument};

use tokio::sync::mpsc::UnboundedReceiver;

use super::drop_server::TestDrop;
use super::scripted_flink::{Fault, ScriptedFlink};
use super::{agent, config, ended};

/// A scripted Flink, the real drop, and a configuration that connects them.
pub(crate) struct Setup {
    pub(crate) flink: ScriptedFlink,
    pub(crate) drop: TestDrop,
    pub(crate) config: Config,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) faults: UnboundedReceiver<Fault>,
}

impl Setup {
    pub(crate) async fn new() -> Self {
        let (flink, faults) = ScriptedFlink::start().await;
        let drop = TestDrop::start().await;
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), &drop.url, &flink.url);
        Self { flink, drop, config, folder, faults }
    }

    /// Publishes the document and runs an agent until it is applied.
    pub(crate) async fn apply(&self, document: &JobDocument) -> Phase {
        self.drop.publish(document).await;
        self.finish(document.generation()).await
    }

    /// Runs an agent until the change of this generation is over.
    pub(crate) async fn finish(&self, generation: u64) -> Phase {
        run_until_ended(&agent(&self.config).await, generation).await
    }

    /// Runs an agent until its request with this number meets the fault, or the change of this generation is over.
    /// Returns whether the fault occurred.
    pub(crate) async fn crash_at(&mut self, request: u32, fault: Fault, generation: u64) -> bool {
        self.flink.with(|world| world.fault = Some((request, fault)));
        let agent = agent(&self.config).await;
        tokio::select! {
            result = agent.run() => panic!("{result:?}"),
            _ = ended(agent.journal(), generation) => false,
            befallen = self.faults.recv() => befallen.is_some(),
        }
    }

    /// The reported states of this generation.
    pub(crate) async fn states(&self, generation: u64) -> Vec<ChangeState> {
        let reports = self.drop.reports().await;
        let of_generation = reports.iter().filter(|report| report.generation == generation);
        let (sequences, states): (Vec<_>, Vec<_>) =
            of_generation.map(|report| (report.sequence, report.state)).unzip();
        assert_eq!(sequences, (1..=u32::try_from(states.len()).unwrap()).collect::<Vec<_>>());
        states
    }

    /// Stops and submissions that took effect.
    pub(crate) fn counts(&self) -> (u32, u32) {
        self.flink.with(|world| (world.stops, world.submissions))
    }
}

/// Runs the agent until the change of this generation is over.
pub(crate) async fn run_until_ended(agent: &Agent, generation: u64) -> Phase {
    tokio::select! {
        result = agent.run() => panic!("{result:?}"),
        phase = ended(agent.journal(), generation) => phase,
    }
}
