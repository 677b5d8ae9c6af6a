//! Many kills: drop, agent and rescaler are killed (SIGKILL) at random moments under load, over a stand-in of Flink.
//!
//! The policy narrows the job by one subtask with every plan, so that each generation has a parallelism of its own and what
//! Flink was asked for tells the generations apart. Beside them a publisher of another job loads the drop. After every
//! start of the drop everything that was acknowledged must be there, unchanged. In the end every generation was applied, in
//! order, and none twice.

mod checks;
mod programs;

use std::fmt;
use std::time::Duration;

use drop_client::{ClientSettings, DropClient, Precondition, Published};
use flink_stand_in::{Pace, Server};
use job_config::JobDocument;
use sim::Random;
use test_addresses::unused_address;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use checks::{Acknowledged, check_end};
use programs::{Program, Programs};

/// For what must happen to happen, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// Kills of one run, unless `KILLS` says another number.
const KILLS: usize = 25;
/// Parallelism of the first document; it limits the number of generations.
const WIDTH: u32 = 120;

/// What a run was made of.
#[derive(Debug, Default)]
struct Counts {
    drop_kills: u32,
    agent_kills: u32,
    rescaler_kills: u32,
    generations: usize,
    /// Requests to Flink to rescale, and those among them that repeat the one before.
    rescales: usize,
    repeated: usize,
    reports: usize,
    /// Documents of the other job that were acknowledged.
    acknowledged: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { drop_kills, agent_kills, rescaler_kills, generations, rescales, .. } = self;
        let Self { repeated, reports, acknowledged, .. } = self;
        write!(
            f,
            "Counts: drop_kills {drop_kills}, agent_kills {agent_kills}, rescaler_kills {rescaler_kills}, \
             generations {generations}, rescales {rescales}, repeated {repeated}, reports {reports}, \
             acknowledged {acknowledged}"
        )
    }
}

/// A document of the job `load`: as long as a real one.
fn load_document(generation: u64) -> JobDocument {
    JobDocument::parse(&format!(
        "format = 1\njob = \"load\"\ngeneration = {generation}\nissued_at = \"2026-01-01T00:00:00Z\"\n\
         restart_mode = \"in-place\"\nparallelism = {{ default = 1, max = 8 }}\n# {}\n",
        "a line as long as others ".repeat(60)
    ))
    .unwrap()
}

fn client(url: &str, job: &str) -> DropClient {
    let settings = ClientSettings { timeout: Duration::from_secs(5), ..ClientSettings::default() };
    DropClient::new(url, job.parse().unwrap(), settings).unwrap()
}

/// Repeats a call until it succeeds.
async fn until_done<T, E, F>(what: &str, mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
{
    let done = async {
        loop {
            match call().await {
                Ok(value) => return value,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let done = tokio::time::timeout(PATIENCE, done).await;
    assert!(done.is_ok(), "{what} did not succeed within {PATIENCE:?}");
    done.unwrap()
}

/// Publishes the documents of job `load` one after the other, and tells each that is acknowledged.
fn load(url: String, acknowledged: watch::Sender<u64>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let client = client(&url, "load");
        for generation in 1.. {
            let expected = match generation {
                1 => Precondition::Nothing,
                _ => Precondition::Replaces(load_document(generation - 1).entity_tag()),
            };
            let document = load_document(generation);
            let put = until_done("a publication", || client.put(&document, &expected)).await;
            assert!(matches!(put, Published::Stored(_)), "generation {generation}: {put:?}");
            acknowledged.send_replace(generation);
            sleep(Duration::from_millis(10)).await;
        }
    })
}

/// Kills and restarts programs at random, and checks the drop whenever it was started.
async fn kill_and_check(
    programs: &mut Programs,
    acknowledged: &Acknowledged,
    random: &mut Random,
    kills: usize,
) {
    for _ in 0..kills {
        sleep(Duration::from_millis(random.whole(20, 1_500) as u64)).await;
        let program = [Program::Drop, Program::Agent, Program::Rescaler][random.whole(0, 2)];
        let known = acknowledged.now();
        programs.kill(program).await;
        sleep(Duration::from_millis(random.whole(0, 300) as u64)).await;
        programs.start(program);
        if program == Program::Drop {
            known.check(&programs.drop_url).await;
        }
    }
}

/// Kills so often with this seed, and checks the end.
async fn run(seed: u64, kills: usize) -> Counts {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(programs::scenario(WIDTH), Pace::Real).await.unwrap();
    let drop_address = unused_address().unwrap();
    let mut programs = Programs::new(folder.path(), server.url(), drop_address);
    programs.start(Program::Drop);
    let job = client(&programs.drop_url, "job");
    let first = programs::first_document(WIDTH);
    until_done("the first document", || job.put(&first, &Precondition::Nothing)).await;
    let (sender, receiver) = watch::channel(0);
    let loading = load(programs.drop_url.clone(), sender);
    programs.start(Program::Agent);
    programs.start(Program::Rescaler);
    let acknowledged = Acknowledged::new(folder.path(), receiver);
    let mut random = Random::new(seed, "kills");
    kill_and_check(&mut programs, &acknowledged, &mut random, kills).await;
    // No further generation, and the last one is finished.
    programs.kill(Program::Rescaler).await;
    checks::await_rest(&job).await;
    loading.abort();
    assert!(loading.await.unwrap_err().is_cancelled(), "the load has failed");
    let known = acknowledged.now();
    known.check(&programs.drop_url).await;
    let mut counts = check_end(&job, &server).await;
    (counts.drop_kills, counts.agent_kills, counts.rescaler_kills) = programs.kills();
    counts.acknowledged = known.load;
    counts
}

/// Goal: whenever drop, agent and rescaler are killed, nothing that was acknowledged is lost or older, and every generation is
/// applied once, in order. `KILLS_SEED` and `KILLS` choose another run (`scripts/many-kills.sh`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs --full"]
async fn many_kills_lose_nothing() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let kills = number("KILLS").map_or(KILLS, |kills| usize::try_from(kills).unwrap());
    let counts = run(number("KILLS_SEED").unwrap_or(0), kills).await;
    println!("{counts}");
    assert!(counts.generations > 1, "{counts}");
}
