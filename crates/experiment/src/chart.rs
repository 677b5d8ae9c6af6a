//! A chart over the time of a run, as SVG: lines with gaps for unknown values, a bound, marks and shaded intervals.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::RGBColor;

const SIZE: (u32, u32) = (1_200, 400);
const MARGIN: i32 = 14;
/// Left margin, for the labels and the name of the value axis, in pixels.
const LEFT: i32 = 80;
/// Right margin, for the legend beside the lines, in pixels.
const RIGHT: i32 = 235;
/// Line height of the legend, in pixels.
const LEGEND_STEP: i32 = 19;
/// Colours that are distinct in print and for most kinds of colour blindness (the Okabe-Ito palette, darkest first).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];
/// Approximate number of labels on the value axis.
const LABELS: usize = 8;
const BOUND: RGBColor = RGBColor(200, 0, 0);
const MARK: RGBColor = RGBColor(110, 110, 110);

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Canvas<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// A value over time.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// Seconds and values; an unknown value breaks the line.
    pub(crate) points: Vec<(f64, Option<f64>)>,
    /// Whether a value holds until the next one (step line).
    pub(crate) is_stepped: bool,
}

/// A chart over the time of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) y_label: &'static str,
    /// Whether the value axis is logarithmic; values of 0 or below are then drawn at its lower end.
    pub(crate) is_log: bool,
    /// Whether all values are integers.
    pub(crate) is_whole: bool,
    pub(crate) until_s: f64,
    pub(crate) lines: Vec<Line>,
    /// A horizontal line with its label.
    pub(crate) bound: Option<(String, f64)>,
    /// Vertical lines, for example decisions; their label follows.
    pub(crate) marks: Vec<f64>,
    pub(crate) marks_name: &'static str,
    /// Shaded intervals: the warm-up, up to this time; the job's downtimes follow.
    pub(crate) warm_up_s: f64,
    pub(crate) down: Vec<(f64, f64)>,
}

/// The value axis: lowest, highest, number of labels.
struct Axis {
    low: f64,
    high: f64,
    labels: usize,
    is_log: bool,
}

impl Axis {
    fn new(chart: &Chart) -> Self {
        let values = chart.lines.iter().flat_map(|line| &line.points).filter_map(|(_, value)| *value);
        let values = values.chain(chart.bound.iter().map(|(_, bound)| *bound));
        let above_0 = values.clone().filter(|value| *value > 0.0);
        let high = values.fold(0.0, f64::max);
        if !chart.is_log {
            let high = if high > 0.0 { high * 1.08 } else { 1.0 };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few labels")]
            let labels = if chart.is_whole { (high as usize + 1).min(LABELS) } else { LABELS };
            return Self { low: 0.0, high, labels, is_log: false };
        }
        let low = above_0.reduce(f64::min).unwrap_or(1.0).log10().floor();
        let high = high.max(10.0).log10().ceil().max(low + 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few decades")]
        let labels = (high - low) as usize + 1;
        Self { low, high, labels, is_log: true }
    }

    fn place(&self, value: f64) -> f64 {
        if self.is_log { value.max(1e-9).log10().max(self.low) } else { value }
    }

    fn label(&self, place: f64) -> String {
        let value = if self.is_log { 10_f64.powf(place) } else { place };
        if self.is_log && (place - place.round()).abs() > 1e-6 { String::new() } else { thousands(value) }
    }
}

/// Formats a number for people: `12,000`, `0.5`.
fn thousands(value: f64) -> String {
    if value.fract().abs() > 1e-6 && value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Chart {
    /// Renders the chart as SVG.
    ///
    /// # Errors
    /// The chart cannot be drawn.
    pub(crate) fn svg(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        self.draw(&mut text).map_err(|error| anyhow!("cannot draw {}: {error}", self.title))?;
        Ok(text)
    }

    fn draw(&self, text: &mut String) -> Drawn {
        let axis = Axis::new(self);
        let until_s = self.until_s.max(1.0);
        let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(&self.title, ("sans-serif", 18))
            .margin(MARGIN)
            .margin_right(RIGHT)
            .x_label_area_size(40)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(0.0..until_s, axis.low..axis.high)?;
        self.draw_shades(&mut chart, &axis)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.12))
            .x_desc("seconds since the load began")
            .y_desc(self.y_label)
            .y_labels(axis.labels)
            .y_label_formatter(&|place| axis.label(*place))
            .x_label_formatter(&|seconds| format!("{seconds:.0}"))
            .draw()?;
        self.draw_marks(&mut chart, &axis)?;
        self.draw_lines(&mut chart, &axis)?;
        self.draw_legend(&root)?;
        root.present()?;
        Ok(())
    }

    /// Draws the legend of lines and shades beside them.
    fn draw_legend(&self, root: &DrawingArea<SVGBackend<'_>, Shift>) -> Drawn {
        let left = SIZE.0.cast_signed() - RIGHT + 4;
        let named = |name: &str, style: ShapeStyle| (name.to_owned(), style);
        let shades = [
            (self.warm_up_s > 0.0).then(|| named("warm-up", BLACK.mix(0.12).filled())),
            (!self.down.is_empty()).then(|| named("job down", RED.mix(0.25).filled())),
            (!self.marks.is_empty()).then(|| named(self.marks_name, MARK.filled())),
            self.bound.as_ref().map(|(name, _)| named(name, BOUND.filled())),
        ];
        let lines = self.lines.iter().zip(COLOURS.iter().cycle());
        let lines = lines.map(|(line, colour)| named(&line.name, colour.filled()));
        let tops = (0..).map(|index| MARGIN + 2 * LEGEND_STEP + index * LEGEND_STEP);
        for (top, (name, style)) in tops.zip(lines.chain(shades.into_iter().flatten())) {
            root.draw(&Rectangle::new([(left, top - 4), (left + 16, top + 4)], style))?;
            root.draw(&Text::new(name, (left + 24, top - 6), ("sans-serif", 13)))?;
        }
        Ok(())
    }

    /// Draws the warm-up and the downtimes, behind everything else.
    fn draw_shades(&self, chart: &mut Canvas<'_, '_>, axis: &Axis) -> Drawn {
        let until_s = self.until_s;
        let shade = |from: f64, until: f64, colour: RGBAColor| {
            Rectangle::new([(from.max(0.0), axis.low), (until.min(until_s), axis.high)], colour.filled())
        };
        if self.warm_up_s > 0.0 {
            chart.draw_series([shade(0.0, self.warm_up_s, BLACK.mix(0.06))])?;
        }
        if !self.down.is_empty() {
            chart.draw_series(self.down.iter().map(|(from, until)| shade(*from, *until, RED.mix(0.14))))?;
        }
        Ok(())
    }

    /// Draws the vertical lines and the bound.
    fn draw_marks(&self, chart: &mut Canvas<'_, '_>, axis: &Axis) -> Drawn {
        if !self.marks.is_empty() {
            let mark = |at: &f64| PathElement::new([(*at, axis.low), (*at, axis.high)], MARK.stroke_width(1));
            chart.draw_series(self.marks.iter().map(mark))?;
        }
        if let Some((_, bound)) = &self.bound {
            let place = axis.place(*bound);
            let line = PathElement::new([(0.0, place), (self.until_s, place)], BOUND.stroke_width(1));
            chart.draw_series([line])?;
        }
        Ok(())
    }

    fn draw_lines(&self, chart: &mut Canvas<'_, '_>, axis: &Axis) -> Drawn {
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let style = colour.stroke_width(2);
            let drawn = pieces(&line.points, line.is_stepped, self.until_s).into_iter().map(|piece| {
                let places: Vec<(f64, f64)> =
                    piece.into_iter().map(|(s, value)| (s, axis.place(value))).collect();
                PathElement::new(places, style)
            });
            chart.draw_series(drawn)?;
        }
        Ok(())
    }
}

/// Splits a line at unknown values. A single known value becomes a short dash, to stay visible.
fn pieces(points: &[(f64, Option<f64>)], is_stepped: bool, until_s: f64) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut is_open = false;
    for (index, (at_s, value)) in points.iter().enumerate() {
        let Some(value) = value else {
            is_open = false;
            continue;
        };
        if !is_open {
            pieces.push(Vec::new());
        }
        is_open = true;
        let Some(piece) = pieces.last_mut() else { continue };
        piece.push((*at_s, *value));
        let next_s = points.get(index + 1).map_or(at_s + 1.0, |next| next.0).min(until_s);
        let is_single = piece.len() == 1 && points.get(index + 1).is_none_or(|next| next.1.is_none());
        if is_stepped || is_single {
            piece.push((next_s, *value));
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a line has a gap where a value is unknown.
    #[test]
    fn gaps_break_lines() {
        let points = [(0.0, Some(1.0)), (1.0, Some(2.0)), (2.0, None), (3.0, Some(3.0)), (4.0, None)];
        assert_eq!(pieces(&points, false, 9.0), [vec![(0.0, 1.0), (1.0, 2.0)], vec![(3.0, 3.0), (4.0, 3.0)]]);
        assert_eq!(pieces(&points, true, 9.0)[0], [(0.0, 1.0), (1.0, 1.0), (1.0, 2.0), (2.0, 2.0)]);
        assert!(pieces(&[(0.0, None)], false, 9.0).is_empty());
    }

    /// Goal: an empty chart and a full one can be drawn; special characters in names do not break the file.
    #[test]
    fn charts_are_drawn() {
        let empty = Chart { title: "empty".to_owned(), ..Chart::default() };
        assert!(empty.svg().unwrap().starts_with("<svg"));
        let line = |name: &str| Line {
            name: name.to_owned(),
            points: vec![(0.0, Some(0.0)), (5.0, Some(20_000.0)), (6.0, None)],
            is_stepped: false,
        };
        let full = Chart {
            title: "a < b & c".to_owned(),
            y_label: "ms",
            is_log: true,
            is_whole: false,
            until_s: 10.0,
            lines: vec![line("one"), line("two")],
            bound: Some(("bound".to_owned(), 1000.0)),
            marks: vec![3.0],
            marks_name: "published",
            warm_up_s: 2.0,
            down: vec![(3.0, 4.0)],
        };
        let svg = full.svg().unwrap();
        assert!(
            svg.contains("a &lt; b &amp; c") && svg.contains("10,000") && svg.contains("published"),
            "{svg}"
        );
    }
}
