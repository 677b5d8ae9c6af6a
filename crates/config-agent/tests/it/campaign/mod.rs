//! The fault campaign: the real agent over a scripted Flink and a misbehaving drop, killed before and after every
//! step of its journal, in seeded combinations.
//!
//! In every case nothing inadmissible is applied, nothing is applied twice, and the accepted generation ends as
//! running or rolled back. First come all single steps of every kind of change, then random combinations: about a
//! hundred by default, 2,500 with `scripts/test.sh --full`. `CAMPAIGN_SEED=n` repeats one.
//!
//! A kill is simulated by blocking the journal before or after an entry is on disk, and dropping the agent.
//! `crashes.rs` shows that SIGKILL has the same effect on the real program.

#![expect(clippy::print_stdout, reason = "a failing seed is told, and how many cases there were")]

mod case;
mod faulty_drop;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Instant;

use crate::support::scripted_flink::Fault;
use case::{CaseOutcome, FaultPlan, Kind, document_with, run_case, wanted};
use config_agent::CrashPoint;
use faulty_drop::Answer;
use futures_util::{FutureExt as _, StreamExt as _};
use job_config::JobDocument;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// Concurrent cases: most of them wait.
const AT_ONCE: usize = 18;
/// Concurrent steps of one kind of change; of kinds, as many as [`AT_ONCE`] allows.
const STEPS_AT_ONCE: usize = 3;
/// Combinations in every test run.
const DEFAULT_CASES: u64 = 100;
/// The same in the gate without `--fast` (`RESCALER_TESTS=whole`).
const GATE_CASES: u64 = 300;
/// The same with `--full`.
const FULL_CASES: u64 = 2_500;

/// More journal steps than any change takes.
const STEPS_MOST: u32 = 40;

/// Goal: every kind of change survives a crash before, and after, each single journal entry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_of_every_change_survives_a_crash() {
    // The slowest first, so that they do not end last.
    let (slow, fast): (Vec<Kind>, Vec<Kind>) = Kind::ALL.into_iter().partition(|kind| kind.never_runs());
    let all = slow.into_iter().chain(fast).flat_map(|kind| [(kind, true), (kind, false)]);
    let counts: Vec<u32> = futures_util::stream::iter(all)
        .map(|(kind, before)| steps_survived(kind, before))
        .buffer_unordered(AT_ONCE / STEPS_AT_ONCE)
        .collect()
        .await;
    println!("{} cases: one crash, before or after every entry of the journal", counts.iter().sum::<u32>());
}

/// Crashes before, or after, each journal entry of this kind of change; returns the first step that the change does not reach.
async fn steps_survived(kind: Kind, before: bool) -> u32 {
    let case = |step| async move {
        let crash_point = if before { CrashPoint::Before(step) } else { CrashPoint::After(step) };
        let trouble = FaultPlan { crashes: vec![crash_point], ..FaultPlan::default() };
        (step, named(&format!("{kind:?}, {crash_point:?}"), run_case(kind, trouble)).await)
    };
    let mut outcomes = pin!(futures_util::stream::iter(1..STEPS_MOST).map(case).buffered(STEPS_AT_ONCE));
    while let Some((step, outcome)) = outcomes.next().await {
        if outcome.crashes == 0 {
            assert!(step > 5, "{kind:?} took only {step} steps");
            return step;
        }
    }
    panic!("{kind:?} does not end");
}

/// Goal: random combinations of crashes, lost and corrupted answers of Flink, bad answers of the drop and rejected
/// reports end well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeded_combinations_of_faults_end_well() {
    let is_whole = std::env::var("RESCALER_TESTS").is_ok_and(|wanted| wanted == "whole");
    let seeds = match std::env::var("CAMPAIGN_SEED").ok().map(|seed| seed.parse::<u64>().unwrap()) {
        Some(seed) => seed..seed + 1,
        None => 0..if is_whole { GATE_CASES } else { DEFAULT_CASES },
    };
    play_all(seeds).await;
}

/// Goal: the same for the following seeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs --full"]
async fn more_seeded_combinations_of_faults_end_well() {
    play_all(GATE_CASES..FULL_CASES).await;
}

async fn play_all(seeds: std::ops::Range<u64>) {
    let began = Instant::now();
    let outcomes: Vec<(Kind, CaseOutcome)> = futures_util::stream::iter(seeds)
        .map(|seed| async move {
            let (kind, trouble) = draw(seed);
            let told = format!("CAMPAIGN_SEED={seed}: {kind:?}, {trouble:?}");
            (kind, named(&told, run_case(kind, trouble)).await)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut by_end = BTreeMap::new();
    for (kind, outcome) in &outcomes {
        *by_end.entry(format!("{kind:?} {:?}", outcome.state)).or_insert(0) += 1;
    }
    let crashes: usize = outcomes.iter().map(|(_, outcome)| outcome.crashes).sum();
    println!(
        "{} cases, {crashes} crashes, {:.0} s: {by_end:?}",
        outcomes.len(),
        began.elapsed().as_secs_f64()
    );
}

/// Names the case in a failure.
async fn named<T>(case: &str, run_case: impl Future<Output = T>) -> T {
    match AssertUnwindSafe(run_case).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => {
            println!("failed: {case}");
            std::panic::resume_unwind(panic)
        }
    }
}

/// Draws the case of this seed.
fn draw(seed: u64) -> (Kind, FaultPlan) {
    let mut random = StdRng::seed_from_u64(seed);
    let kind = *Kind::ALL.choose(&mut random).unwrap();
    let mut trouble = FaultPlan::default();
    for _ in 0..random.random_range(0..4) {
        let step = random.random_range(1..12);
        trouble.crashes.push(if random.random() {
            CrashPoint::Before(step)
        } else {
            CrashPoint::After(step)
        });
    }
    for _ in 0..random.random_range(0..4) {
        trouble.flink.push((random.random_range(1..60), *Fault::ALL.choose(&mut random).unwrap()));
    }
    for _ in 0..random.random_range(0..4) {
        trouble.answers.push(bad_answer(&mut random, kind));
    }
    for _ in 0..random.random_range(0..3) {
        trouble.reports.push(random.random_range(1..10));
    }
    (kind, trouble)
}

/// An answer that must have no effect.
fn bad_answer(random: &mut StdRng, kind: Kind) -> Answer {
    let good = wanted(kind);
    match random.random_range(0..16) {
        0 => Answer::Status(*[500, 502, 404, 203, 206, 403].choose(random).unwrap()),
        1 => Answer::Html,
        2 => Answer::HtmlAsDocument(good),
        3 => Answer::Truncated(good),
        4 => Answer::Half(good),
        5 => Answer::OtherTag(good),
        6 => Answer::Oversized(good),
        7 => Answer::SlowDrip(good),
        8 => Answer::Cut,
        9 => Answer::Bad(crate::support::document_of("other", 9, "")),
        11 => Answer::WrongKey(good),
        12 => Answer::Unsigned(good),
        13 => Answer::Bad(document_with(9, 9, false, None, "expires_at = \"2026-01-02T00:00:00Z\"\n")),
        14 => {
            let text = document_with(9, 9, false, None, "").text().replace("2026-01-01", "2199-01-01");
            Answer::Bad(JobDocument::parse(&text).unwrap())
        }
        // The running generation with other content; where nothing runs yet, there is no old one.
        10 if kind != Kind::First => Answer::Bad(document_with(1, 9, false, None, "reason = \"replayed\"\n")),
        _ => Answer::Cut,
    }
}
