//! One picture of each run: load and capacity, latency, slots.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use sim::Run;
use sim::scenario::Trial;

const SIZE: (u32, u32) = (1_200, 900);
/// At most so many points of a line.
const POINTS: usize = 1_500;
/// Distinct in print and for most kinds of colour blindness.
const LOAD: RGBColor = RGBColor(0, 114, 178);
const CAPACITY: RGBColor = RGBColor(213, 94, 0);
const BOUND: RGBColor = RGBColor(200, 0, 0);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// A line of a chart.
struct Line {
    name: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// Draws a run into a file of this name.
///
/// # Errors
/// The picture cannot be drawn or written.
pub(super) fn draw(name: &str, trial: &Trial, run: &Run, folder: &Path) -> anyhow::Result<()> {
    let file = folder.join(format!("{name}.svg"));
    fs::write(&file, svg(name, trial, run)?).with_context(|| format!("cannot write {}", file.display()))
}

fn svg(title: &str, trial: &Trial, run: &Run) -> anyhow::Result<String> {
    let mut text = String::new();
    let drawn = || -> Drawn {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let parts = root.split_evenly((3, 1));
        let bound_s = trial.conditions.latency_bound_s;
        for (part, (what, unit, lines)) in parts.iter().zip([
            ("load and capacity", "records per second", rates(trial, run)),
            ("latency and bound", "seconds", latency(run, bound_s)),
            ("slots", "slots", slots(run)),
        ]) {
            chart(part, &format!("{title}: {what}"), unit, &lines)?;
        }
        root.present()?;
        Ok(())
    };
    let result = { drawn }();
    result.map_err(|error| anyhow!("cannot draw {title}: {error}"))?;
    Ok(text)
}

/// The highest value of each part of a series.
#[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
fn thinned(seconds: usize, value: impl Fn(usize) -> f64) -> Vec<(f64, f64)> {
    let step = seconds.div_ceil(POINTS).max(1);
    let highest = |from: usize| (from..(from + step).min(seconds)).map(&value).fold(0.0, f64::max);
    (0..seconds).step_by(step).map(|from| (from as f64, highest(from))).collect()
}

fn rates(trial: &Trial, run: &Run) -> Vec<Line> {
    let seconds = run.slots.len();
    let capacity = |second: usize| {
        let rates = trial.load.mean_per_s(second.saturating_sub(30), second + 1);
        trial.job.carried_per_s(run.parallelism(second), &rates)
    };
    let step = seconds.div_ceil(POINTS).max(1);
    #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
    let capacities = (0..seconds).step_by(step).map(|second| (second as f64, capacity(second))).collect();
    vec![
        Line {
            name: "load",
            colour: LOAD,
            points: thinned(seconds, |second| trial.load.total_per_s(second)),
        },
        Line { name: "capacity", colour: CAPACITY, points: capacities },
    ]
}

fn latency(run: &Run, bound_s: f64) -> Vec<Line> {
    let points = thinned(run.latency_s.len(), |second| run.latency_s[second]);
    let bound = points.iter().map(|(second, _)| (*second, bound_s)).collect();
    vec![Line { name: "latency", colour: LOAD, points }, Line { name: "bound", colour: BOUND, points: bound }]
}

fn slots(run: &Run) -> Vec<Line> {
    let points = thinned(run.slots.len(), |second| f64::from(run.slots[second]));
    vec![Line { name: "slots", colour: LOAD, points }]
}

fn chart(area: &Area<'_>, title: &str, unit: &str, lines: &[Line]) -> Drawn {
    let points = || lines.iter().flat_map(|line| &line.points);
    let until = points().map(|point| point.0).fold(1.0, f64::max);
    let high = points().map(|point| point.1).filter(|value| value.is_finite()).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..until, 0.0..(high * 1.08).max(1e-3))?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_desc("seconds since the start")
        .y_desc(unit)
        .x_label_formatter(&|second| format!("{second:.0}"))
        .y_label_formatter(&|value| if high < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") })
        .draw()?;
    for line in lines {
        let colour = line.colour;
        chart
            .draw_series([PathElement::new(line.points.clone(), colour.stroke_width(1))])?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    Ok(())
}
