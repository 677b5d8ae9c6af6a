//! Goal: for every profile, the count due by a time and the due time of an event are exact inverses, times never
//! decrease, and the totals match the integral.

use generator::profile::{ProfileConfig, Schedule};
use proptest::prelude::*;

fn schedule(text: &str) -> Schedule {
    toml::from_str::<ProfileConfig>(text).unwrap().check().unwrap()
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn steps_end_with_exactly_their_events() {
    let steps = schedule(
        "kind = 'steps'\nsteps = [{rate = 1000, duration_s = 10}, {rate = 0, duration_s = 5}, {rate = 3000, duration_s = 0.5}]",
    );
    assert_eq!(steps.events(), Some(11_500));
    assert_eq!(steps.due_ns(0), 0);
    assert_eq!(steps.due_ns(1), 1_000_000);
    assert_eq!(steps.due_ns(9_999), 9_999_000_000);
    assert_eq!(steps.due_ns(10_000), 15 * SECOND, "an event at the edge of a pause comes after it");
    assert_eq!(steps.due_count(12 * SECOND), 10_000);
    assert_eq!(steps.due_count(15 * SECOND), 10_001);
    assert_eq!(steps.due_count(99 * SECOND), 11_500);
    assert_eq!(
        (steps.rate_at(3.0), steps.rate_at(12.0), steps.rate_at(15.1), steps.rate_at(16.0)),
        (1000.0, 0.0, 3000.0, 0.0)
    );
}

#[test]
fn repeated_steps_go_on_for_ever() {
    let steps = schedule(
        "kind = 'steps'\nrepeat = true\nsteps = [{rate = 2, duration_s = 1}, {rate = 0, duration_s = 9}]",
    );
    assert_eq!(steps.events(), None);
    assert_eq!(steps.due_ns(2_000_001), 10_000_000 * SECOND + SECOND / 2);
    assert_eq!(steps.due_count(10_000_000 * SECOND), 2_000_001);
}

#[test]
fn a_ramp_is_the_integral_of_its_rate_and_then_holds() {
    let ramp = schedule("kind = 'ramp'\nfrom = 0\nto = 100\nover_s = 10");
    assert_eq!(ramp.due_count(5 * SECOND), 126, "5·5·10/2 and event 0 and 125 at the edges");
    assert_eq!(ramp.due_count(10 * SECOND), 501);
    assert_eq!(ramp.due_count(20 * SECOND), 1501);
    let down = schedule("kind = 'ramp'\nfrom = 100\nto = 0\nover_s = 10");
    assert_eq!(down.events(), Some(500), "a ramp to 0 ends");
}

#[test]
fn thesis_rises_by_a_twentieth_of_the_maximum() {
    let thesis = schedule("kind = 'thesis'\nlow = 100\nmaximum = 1000\nchange_interval_s = 2");
    let rates: Vec<f64> = (0..21).map(|step| thesis.rate_at(2.0 * f64::from(step) + 1.0)).collect();
    assert_eq!(rates[..4], [100.0, 150.0, 200.0, 250.0]);
    assert_eq!(rates[17..], [950.0, 1000.0, 1000.0, 1000.0]);
}

#[test]
fn square_sine_and_spike_are_the_integral_of_their_rate() {
    let square =
        schedule("kind = 'square'\nlow = 10\nhigh = 100\nperiod_s = 10\nhigh_share = 0.2\nduration_s = 100");
    assert_eq!(square.events(), Some(10 * (8 * 10 + 2 * 100)));
    assert_eq!((square.rate_at(17.9), square.rate_at(18.1), square.rate_at(20.1)), (10.0, 100.0, 10.0));
    let sine = schedule("kind = 'sine'\nmean = 1000\namplitude = 1000\nperiod_s = 60\nduration_s = 600");
    assert_eq!(sine.events(), Some(600_000));
    assert!((sine.rate_at(15.0) - 2000.0).abs() < 1e-6 && sine.rate_at(45.0) < 1e-6);
    let half_wave = sine.due_count(30 * SECOND) as f64;
    let expected = 30_000.0 + 1000.0 * 60.0 / std::f64::consts::PI;
    assert!((half_wave - expected).abs() < 1000.0 * 60.0 * 0.0003, "{half_wave} instead of {expected}");
    let spike =
        schedule("kind = 'spike'\nbase = 10\npeak = 500\nbefore_s = 20\nspike_s = 2\nduration_s = 100");
    assert_eq!(spike.events(), Some(98 * 10 + 2 * 500));
    let spikes = schedule("kind = 'spike'\nbase = 10\npeak = 500\nbefore_s = 20\nspike_s = 2\nrepeat = true");
    assert_eq!(spikes.due_count(220 * SECOND), 10 * (200 + 1000) + 1);
}

#[test]
fn a_trace_becomes_steps() {
    let trace = toml::from_str::<ProfileConfig>("kind = 'trace'\nfile = 'load.csv'").unwrap();
    assert_eq!(trace.check().unwrap_err().key, "profile.file");
    assert_eq!(trace.trace_file().unwrap().to_str(), Some("load.csv"));
    let schedule = trace.with_trace("second,rate\n0,100\n10,200\n20,0\n").unwrap().check().unwrap();
    assert_eq!((schedule.events(), schedule.duration_s()), (Some(3_000), Some(30.0)));
}

#[test]
fn a_duration_ends_any_profile() {
    let constant = schedule("kind = 'constant'\nrate = 333.3\nduration_s = 3");
    assert_eq!(constant.events(), Some(1000), "999.9 events: the last one begins before the end");
    assert_eq!(constant.duration_s(), Some(3.0));
}

#[test]
fn unusable_profiles_are_refused_by_key() {
    let check = |text: &str, key: &str| {
        let error = toml::from_str::<ProfileConfig>(text).unwrap().check().unwrap_err();
        assert_eq!(error.key, key, "{error}");
    };
    check("kind = 'constant'\nrate = -1", "profile.rate");
    check("kind = 'constant'\nrate = nan", "profile.rate");
    check("kind = 'constant'\nrate = 0", "profile");
    check("kind = 'constant'\nrate = 5\nduration_s = 0", "profile.duration_s");
    check("kind = 'steps'\nsteps = []", "profile.steps");
    check(
        "kind = 'steps'\nsteps = [{rate = 1, duration_s = 1}, {rate = -1, duration_s = 1}]",
        "profile.steps[1].rate",
    );
    check("kind = 'steps'\nsteps = [{rate = 1, duration_s = inf}]", "profile.steps[0].duration_s");
    check("kind = 'square'\nlow = 1\nhigh = 2\nperiod_s = 1\nhigh_share = 1", "profile.high_share");
    check("kind = 'sine'\nmean = 1\namplitude = 2\nperiod_s = 1", "profile.amplitude");
    check("kind = 'spike'\nbase = 1\npeak = 2\nbefore_s = 0\nspike_s = 1", "profile.before_s");
    check("kind = 'thesis'\nlow = 2\nmaximum = 1\nchange_interval_s = 1", "profile.low");
}

/// Goal: a held rate below one event per second is kept.
#[test]
fn rates_below_one_are_kept() {
    for (text, events) in [
        ("kind='constant'\nrate=0.1\nduration_s=1000.0", 100),
        ("kind='ramp'\nfrom=10.0\nto=0.5\nover_s=10.0\nduration_s=1010.0", 553),
        ("kind='spike'\nbase=0.2\npeak=10.0\nbefore_s=100.0\nspike_s=10.0\nduration_s=1110.0", 320),
        ("kind='steps'\nsteps=[{rate=0.2,duration_s=100.0},{rate=0.5,duration_s=100.0}]", 70),
        ("kind='constant'\nrate=0.003\nduration_s=100000.0", 300),
        ("kind='ramp'\nfrom=0.0\nto=0.25\nover_s=8.0\nduration_s=408.0", 101),
    ] {
        assert_eq!(schedule(text).events(), Some(events), "{text}");
    }
    let thesis = schedule("kind='thesis'\nlow=0.1\nmaximum=0.5\nchange_interval_s=10.0");
    assert!((thesis.rate_at(1_000.0) - 0.5).abs() < 1e-12);
    let constant = schedule("kind='constant'\nrate=0.1");
    assert_eq!((constant.due_ns(1), constant.due_ns(6)), (10 * SECOND, 60 * SECOND));
    // A held rate above one, and one event per second where auctions need times after the end.
    assert_eq!(schedule("kind='constant'\nrate=2.5").due_ns(5), 2 * SECOND);
    let ended = schedule("kind='steps'\nsteps=[{rate=0.5,duration_s=2.0}]");
    assert_eq!((ended.events(), ended.due_ns(1), ended.due_ns(2)), (Some(1), 2 * SECOND, 3 * SECOND));
}

/// Goal: all bad values of a profile are reported at once.
#[test]
fn all_bad_values_of_a_profile_are_named() {
    let check = |text: &str, keys: &[&str]| {
        let problems = toml::from_str::<ProfileConfig>(text).unwrap().check_all().unwrap_err();
        let found: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(found, keys, "{text}");
    };
    check(
        "kind='ramp'\nfrom=-1\nto=nan\nover_s=0\nduration_s=-1",
        &["profile.from", "profile.to", "profile.over_s", "profile.duration_s"],
    );
    check(
        "kind='steps'\nsteps=[{rate=-1,duration_s=0},{rate=1,duration_s=1},{rate=1,duration_s=inf}]",
        &["profile.steps[0].rate", "profile.steps[0].duration_s", "profile.steps[2].duration_s"],
    );
}

/// Goal: counting ends at any time, even at the latest due time.
#[test]
fn counting_ends_at_any_time() {
    for text in [
        "kind='constant'\nrate=10",
        "kind='constant'\nrate=1e8",
        "kind='constant'\nrate=1e-300",
        "kind='sine'\nmean=5\namplitude=5\nperiod_s=60",
    ] {
        let schedule = schedule(text);
        let counts =
            [0, 1 << 62, i64::MAX as u64 - 1, i64::MAX as u64, u64::MAX].map(|ns| schedule.due_count(ns));
        assert!(counts.is_sorted() && counts[1] >= 1, "{text}: {counts:?}");
    }
}

fn any_profile() -> impl Strategy<Value = String> {
    let rate = prop_oneof![1 => Just(0.0), 4 => 0.1..50.0, 2 => 50.0..1e6];
    let step =
        (rate.clone(), 0.001..100.0).prop_map(|(rate, s)| format!("{{rate = {rate:?}, duration_s = {s:?}}}"));
    let sine = (0.1..1e6, 0.0..=1.0, 0.01..1000.0).prop_map(|(mean, share, s): (f64, f64, f64)| {
        format!("kind='sine'\nmean={mean:?}\namplitude={:?}\nperiod_s={s:?}", mean * share)
    });
    let ramp = (rate.clone(), rate, 0.01..100.0)
        .prop_map(|(from, to, over)| format!("kind='ramp'\nfrom={from:?}\nto={to:?}\nover_s={over:?}"));
    let steps = (prop::collection::vec(step, 1..8), any::<bool>())
        .prop_map(|(steps, repeat)| format!("kind='steps'\nrepeat={repeat}\nsteps=[{}]", steps.join(",")));
    prop_oneof![ramp, steps, sine]
}

proptest! {
    #[test]
    fn due_time_and_due_count_are_inverse(text in any_profile(), number in 0_u64..10_000_000, ns in 0_u64..1_000_000_000_000) {
        let Ok(schedule) = toml::from_str::<ProfileConfig>(&text).unwrap().check() else { return Ok(()) };
        let number = schedule.events().map_or(number, |events| number % events);
        let due = schedule.due_ns(number);
        prop_assert!(schedule.due_count(due) > number);
        prop_assert!(due == 0 || schedule.due_count(due - 1) <= number);
        let count = schedule.due_count(ns);
        prop_assert!(count == 0 || schedule.due_ns(count - 1) <= ns);
        prop_assert!(schedule.events() == Some(count) || schedule.due_ns(count) > ns);
    }

    #[test]
    fn due_times_never_decrease_and_a_cursor_changes_nothing(text in any_profile(), from in 0_u64..10_000_000) {
        let Ok(schedule) = toml::from_str::<ProfileConfig>(&text).unwrap().check() else { return Ok(()) };
        let cursor = schedule.cursor();
        let mut last = 0;
        for number in from..from + 500 {
            let due = schedule.due_ns(number);
            prop_assert!(due >= last, "event {} is due at {} after {}", number, due, last);
            prop_assert_eq!(cursor.due_ns(number), due);
            last = due;
        }
    }
}
