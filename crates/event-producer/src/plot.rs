//! A load profile before anything is produced: its totals as text, its rate over time as SVG.

use std::path::Path;

use anyhow::{Context, anyhow};
use generator::profile::Schedule;
use plotters::prelude::*;

/// Points of the curve; the picture is 1200 wide.
const POINTS: usize = 2_400;
const SIZE: (u32, u32) = (1_200, 500);
/// The least length of an axis: shorter ones cannot be labelled.
const LEAST: f64 = 1e-6;

/// The part of a profile that shows its shape, s: all of it if it ends.
pub(crate) fn shown_s(schedule: &Schedule, until_s: Option<f64>) -> f64 {
    match (schedule.duration_s(), until_s) {
        (Some(duration_s), Some(until_s)) => duration_s.min(until_s),
        (shown, until) => shown.or(until).unwrap_or_else(|| (schedule.shape_s() * 1.5).max(10.0)),
    }
}

/// The totals, a line each.
pub(crate) fn totals(schedule: &Schedule, until_s: Option<f64>) -> String {
    let shown_s = shown_s(schedule, until_s);
    let events = schedule.due_count((shown_s * 1e9) as u64);
    let events = schedule.events().map_or(events, |all| all.min(events));
    let end = match (schedule.duration_s(), schedule.events()) {
        (Some(duration_s), Some(events)) => format!("ends after {duration_s} s with {events} events"),
        _ => "endless".to_owned(),
    };
    format!(
        "profile: {end}\nshown: {shown_s} s, {events} events, {:.1} events/s on average, {:.1} events/s at the peak\n",
        events as f64 / shown_s,
        schedule.peak_rate(),
    )
}

/// Draws the rate over time.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn draw(schedule: &Schedule, until_s: Option<f64>, path: &Path) -> anyhow::Result<()> {
    let shown_s = shown_s(schedule, until_s);
    let mut text = String::new();
    draw_into(schedule, shown_s, &mut text)
        .map_err(|error| anyhow!("could not plot the profile: {error}"))?;
    std::fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}

fn draw_into(schedule: &Schedule, shown_s: f64, text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("offered load", ("sans-serif", 20))
        .margin(15)
        .x_label_area_size(40)
        .y_label_area_size(90)
        .build_cartesian_2d(0.0..shown_s.max(LEAST), 0.0..schedule.peak_rate().max(LEAST) * 1.05)?;
    chart.configure_mesh().x_desc("seconds since the start").y_desc("events per second").draw()?;
    let at = |point: usize| shown_s * point as f64 / POINTS as f64;
    let curve = (0..POINTS).map(|point| (at(point), schedule.rate_at(at(point))));
    chart.draw_series(LineSeries::new(curve, BLUE.stroke_width(2)))?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use proptest::prelude::*;

    use super::*;
    use crate::arguments::{Arguments, Command};

    /// The totals and the picture of a profile as a command line asks for them; [`None`] if it is refused.
    fn shown(arguments: &[String]) -> Option<(String, String)> {
        let line =
            ["event-producer", "profile"].map(str::to_owned).into_iter().chain(arguments.iter().cloned());
        let Ok(Command::Profile(options)) = Arguments::try_parse_from(line).map(Arguments::command) else {
            return None;
        };
        let schedule = options.config().ok()?.schedule;
        let mut picture = String::new();
        draw_into(&schedule, shown_s(&schedule, options.until), &mut picture).unwrap();
        Some((totals(&schedule, options.until), picture))
    }

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>(),
            prop::sample::select(vec![
                0.0,
                -1.0,
                1e-300,
                1e-9,
                0.1,
                1.0,
                1e8,
                1e9,
                1e10,
                315_576_000.0,
                1e19,
                1e300,
                f64::INFINITY
            ]),
            0.0..1e6,
        ]
    }

    /// Goal: a time that no profile can last is refused at once, by its name.
    #[test]
    fn a_time_beyond_all_profiles_is_refused() {
        let refused = |until: &str| shown(&["--rate", "10", "--until", until].map(str::to_owned)).is_none();
        for until in ["1e10", "1e300", "inf", "0", "-5", "1e-320", "NaN"] {
            assert!(refused(until), "{until}");
        }
        let ten_years = shown(&["--rate", "10", "--until", "3.15576e8"].map(str::to_owned)).unwrap().0;
        assert!(ten_years.contains("3155760001 events"), "{ten_years}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Goal: no number on the command line makes the totals or the picture of a profile panic or go on without end.
        #[test]
        fn any_number_is_shown_or_refused(rate in number(), until in number(), duration in prop::option::of(number())) {
            let mut arguments = vec![format!("--rate={rate}"), format!("--until={until}")];
            arguments.extend(duration.map(|duration| format!("--duration={duration}")));
            shown(&arguments);
        }

        /// Goal: likewise for steps.
        #[test]
        fn any_steps_are_shown_or_refused(steps in prop::collection::vec((number(), number()), 1..5), until in prop::option::of(number())) {
            let steps: Vec<String> = steps.iter().map(|(rate, seconds)| format!("{rate}:{seconds}")).collect();
            let mut arguments = vec![format!("--steps={}", steps.join(","))];
            arguments.extend(until.map(|until| format!("--until={until}")));
            shown(&arguments);
        }
    }
}
