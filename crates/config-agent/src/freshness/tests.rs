//! What counts as proof, by both clocks.

use super::*;
use job_config::PrivateKey;

const NOON: &str = "2026-01-01T12:00:00Z";

fn key() -> PrivateKey {
    PrivateKey::from_seed([1; 32]).unwrap()
}

fn document(generation: u64, reason: &str) -> JobDocument {
    JobDocument::parse(&format!(
        "format = 1\njob = \"nexmark\"\ngeneration = {generation}\nissued_at = \"{NOON}\"\nreason = \"{reason}\"\n\
         restart_mode = \"in-place\"\nparallelism = {{ default = 1, max = 8 }}\n"
    ))
    .unwrap()
}

/// A statement about a document, issued this many seconds after noon.
fn line(document: &JobDocument, issued_s: i64) -> String {
    let issued_at = NOON.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(issued_s);
    Freshness::of(document, issued_at, 1_000).signed(&key()).unwrap().to_string()
}

/// This many seconds after noon and after the start of the agent, whose clock is this far ahead.
fn at_ahead(s: i64, ahead_s: i64) -> Moment {
    let now = NOON.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(s + ahead_s);
    Moment { now, elapsed: Duration::from_secs(s.unsigned_abs()) }
}

fn at(s: i64) -> Moment {
    at_ahead(s, 0)
}

/// An agent that has accepted generation 7 long ago, and asks the source from noon on.
fn watch() -> FreshnessWatch {
    let age_max = Some(Duration::from_secs(100));
    let job = "nexmark".parse().unwrap();
    let watch = FreshnessWatch::new(job, age_max, SignedDuration::from_secs(10), vec![key().public_key()]);
    watch.asks(Some(&document(7, "a")), at(0));
    watch
}

fn problem(watch: &FreshnessWatch, moment: Moment) -> String {
    watch.problem(moment).unwrap()
}

/// Goal: silence is told after the time and not before, and is over with the next statement.
#[test]
fn silence_is_told_after_its_time() {
    let watch = watch();
    assert_eq!(watch.problem(at(100)), None);
    assert!(problem(&watch, at(101)).contains("no statement has arrived since the start"));
    watch.heard_of(Some(&line(&document(7, "a"), 150)), at(160));
    assert_eq!(watch.problem(at(250)), None);
    let told = problem(&watch, at(251));
    assert!(told.contains("issued at 2026-01-01T12:02:30Z, 101 s ago"), "{told}");
    watch.heard_of(Some(&line(&document(7, "a"), 300)), at(300));
    assert_eq!(watch.problem(at(400)), None);
}

/// Goal: statements that are no proof are named, and change nothing about the newest one.
#[test]
fn what_proves_nothing_is_named() {
    let stranger = PrivateKey::from_seed([2; 32]).unwrap();
    let now = NOON.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(101);
    let forged = Freshness::of(&document(7, "a"), now, 1_000).signed(&stranger).unwrap().to_string();
    let (next, other) = (line(&document(8, "a"), 101), line(&document(7, "b"), 101));
    let ahead = line(&document(7, "a"), 200);
    let cases = [
        ("<html>", "not a freshness statement"),
        (forged.as_str(), "matches no pinned public key"),
        (next.as_str(), "newest document is generation 8, but the source shows generation 7"),
        (other.as_str(), "about another document"),
        (ahead.as_str(), "in the future by the clock of this machine"),
    ];
    for (text, expected) in cases {
        let watch = watch();
        watch.heard_of(Some(text), at(101));
        let told = problem(&watch, at(101));
        assert!(told.contains(expected), "{text}: {told}");
    }
}

/// Goal: a statement is not proof again when it is repeated, nor when an older one follows.
#[test]
fn a_replay_proves_nothing() {
    let watch = watch();
    let (first, second) = (line(&document(7, "a"), 0), line(&document(7, "a"), 50));
    watch.heard_of(Some(&second), at(50));
    for s in (60..=200).step_by(20) {
        watch.heard_of(Some(if s % 40 == 0 { &first } else { &second }), at(s));
    }
    assert_eq!(watch.problem(at(150)), None);
    assert!(problem(&watch, at(151)).contains("101 s ago"));
}

/// Goal: a clock that is set back makes no statement younger, and one that is ahead is named.
#[test]
fn a_wrong_clock_is_named() {
    let watch = watch();
    watch.heard_of(Some(&line(&document(7, "a"), 10)), at(10));
    assert_eq!(watch.problem(at_ahead(110, -3_600)), None);
    assert!(problem(&watch, at_ahead(111, -3_600)).contains("101 s ago"));
    let watch = self::watch();
    watch.heard_of(Some(&line(&document(7, "a"), 110)), at_ahead(110, 3_600));
    let told = problem(&watch, at_ahead(110, 3_600));
    assert!(told.contains("was 3600 s old on arrival by the clock of this machine"), "{told}");
    assert!(told.contains("compare the clocks"), "{told}");
}

/// Goal: the publisher's own limit counts where it is the shorter one.
#[test]
fn the_publisher_may_limit_a_statement() {
    let watch = watch();
    let statement = Freshness { valid_for_s: 30, ..Freshness::of(&document(7, "a"), at(80).now, 0) };
    watch.heard_of(Some(&statement.signed(&key()).unwrap().to_string()), at(80));
    assert_eq!(watch.problem(at(110)), None);
    assert!(watch.problem(at(111)).is_some());
}

/// Goal: a new document is proof, and nothing is expected while it is being applied.
#[test]
fn a_change_is_no_silence() {
    let watch = watch();
    assert!(watch.problem(at(500)).is_some());
    watch.saw(&document(8, "next"), at(500));
    watch.pauses();
    assert_eq!(watch.problem(at(5_000)), None);
    watch.asks(None, at(5_000));
    assert_eq!(watch.problem(at(5_100)), None);
    watch.heard_of(Some(&line(&document(7, "a"), 5_100)), at(5_101));
    assert!(problem(&watch, at(5_101)).contains("about another document"));
    watch.heard_of(Some(&line(&document(8, "next"), 5_101)), at(5_102));
    assert_eq!(watch.problem(at(5_102)), None);
}

/// Goal: without the setting nothing is expected.
#[test]
fn nothing_is_expected_by_default() {
    let watch = FreshnessWatch::new("nexmark".parse().unwrap(), None, SignedDuration::ZERO, Vec::new());
    watch.asks(None, at(0));
    assert_eq!((watch.problem(at(1_000_000)), watch.age(at(0))), (None, None));
}
