//! Many runs over all processors. The results do not depend on which processor ran what.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::num::NonZero;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use sim::Score;
use sim::contender::{Contender, OwnPolicyOptions};
use sim::scenario::{Scenario, Trial};

use super::{SimulateError, plot};

/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(500);

/// Scenarios, policies and seeds: a run for each combination.
pub(super) struct Batch {
    pub(super) scenarios: Vec<Scenario>,
    pub(super) contenders: Vec<Contender>,
    pub(super) seeds: Vec<u64>,
    pub(super) options: OwnPolicyOptions,
}

/// The score of one run, and what it is of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct RunScore {
    pub(super) scenario: String,
    pub(super) policy: Contender,
    pub(super) seed: u64,
    /// The program that ran it.
    pub(super) version: &'static str,
    #[serde(flatten)]
    pub(super) score: Score,
}

/// One run to come.
struct Task<'a> {
    scenario: &'a Scenario,
    contender: Contender,
    seed: u64,
}

impl Batch {
    /// Runs everything, and draws each run into this folder; the scores by scenario, then policy, then seed.
    ///
    /// # Errors
    /// A scenario cannot be run, or a picture cannot be written.
    pub(super) fn run(&self, plots: Option<&Path>) -> anyhow::Result<Vec<RunScore>> {
        if let Some(folder) = plots {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        for scenario in &self.scenarios {
            trial(scenario, 1)?;
        }
        let tasks = self.tasks();
        // The longest first, so that none is left over at the end.
        let mut order: Vec<usize> = (0..tasks.len()).collect();
        order.sort_by_key(|task| std::cmp::Reverse(tasks[*task].scenario.duration_s));
        let results = Mutex::new(tasks.iter().map(|_| None).collect::<Vec<_>>());
        let (next, progress) = (AtomicUsize::new(0), Progress::new(&tasks));
        let work = || {
            while let Some(task) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let score = self.one(&tasks[*task], plots);
                results.lock().unwrap_or_else(|poisoned| poisoned.into_inner())[*task] = Some(score);
                progress.done(tasks[*task].scenario);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
                scope.spawn(work);
            }
        });
        progress.end();
        results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).into_iter().flatten().collect()
    }

    fn tasks(&self) -> Vec<Task<'_>> {
        let mut tasks = Vec::new();
        for scenario in &self.scenarios {
            for contender in &self.contenders {
                tasks.extend(self.seeds.iter().map(|seed| Task {
                    scenario,
                    contender: *contender,
                    seed: *seed,
                }));
            }
        }
        tasks
    }

    fn one(&self, task: &Task<'_>, plots: Option<&Path>) -> anyhow::Result<RunScore> {
        let trial = trial(task.scenario, task.seed)?;
        let run = sim::run(&trial, task.contender.controller(&trial, &self.options).as_mut());
        if let Some(folder) = plots {
            let name = format!("{}-{}-{}", task.scenario.name.replace('/', "-"), task.contender, task.seed);
            plot::draw(&name, &trial, &run, folder)?;
        }
        Ok(RunScore {
            scenario: task.scenario.name.clone(),
            policy: task.contender,
            seed: task.seed,
            version: version::VERSION,
            score: Score::new(&trial, &run),
        })
    }
}

/// The trial of a scenario with a seed.
fn trial(scenario: &Scenario, seed: u64) -> Result<Trial, SimulateError> {
    let impossible = |source| SimulateError::Impossible { name: scenario.name.clone(), source };
    scenario.trial(seed).map_err(impossible)
}

/// How far a batch is, shown where a person looks.
struct Progress {
    is_shown: bool,
    runs: usize,
    total_s: u64,
    began: Instant,
    state: Mutex<ProgressState>,
}

struct ProgressState {
    runs: usize,
    simulated_s: u64,
    shown: Instant,
}

impl Progress {
    fn new(tasks: &[Task<'_>]) -> Self {
        let began = Instant::now();
        Self {
            is_shown: std::io::stderr().is_terminal(),
            runs: tasks.len(),
            total_s: tasks.iter().map(|task| u64::from(task.scenario.duration_s)).sum(),
            began,
            state: Mutex::new(ProgressState { runs: 0, simulated_s: 0, shown: began }),
        }
    }

    fn done(&self, scenario: &Scenario) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        state.runs += 1;
        state.simulated_s += u64::from(scenario.duration_s);
        if self.is_shown && state.shown.elapsed() >= SHOW_EVERY {
            state.shown = Instant::now();
            let left = self.began.elapsed().as_secs() * (self.total_s - state.simulated_s)
                / state.simulated_s.max(1);
            let line = format!("\r{} of {} runs done, about {left} s left \x1b[K", state.runs, self.runs);
            // Nothing can be done if standard error is closed.
            drop(std::io::stderr().write_all(line.as_bytes()));
        }
    }

    fn end(&self) {
        if self.is_shown {
            drop(std::io::stderr().write_all(b"\r\x1b[K"));
        }
    }
}
