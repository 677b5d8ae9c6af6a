//! Forecast of the arrival rate, and the errors of past forecasts.
//!
//! ```text
//! naive   level                                                     trend   level + slope · h · (1 − h ÷ 3600)
//! best(h) naive, unless the mean squared error of trend is below 0.8 of naive's
//! upper   max over horizons up to h of best forecast · exp(q-quantile of its errors ln(real ÷ forecast))
//! ```
//!
//! Both models forecast every horizon in every bin. When a forecast is due, its error is added to a histogram with a half-life of about 80
//! minutes. Forecasts are not stored, because they follow from the bins of their time. Errors across a shift are not counted: headroom for a
//! doubling costs slots all the time, the reaction to a doubling costs seconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::arrivals::Arrivals;
use super::memory::short;

/// The horizons, in seconds.
const HORIZONS_S: [i32; 4] = [30, 60, 300, 900];
/// Classes of 0.02 from −0.2 on.
const CLASSES: u8 = 60;
const CLASS: f64 = 0.02;
const LOWEST: f64 = -0.2;
/// What is left of a weight after another error.
const DECAY: f64 = 1.0 - 1.0 / 720.0;
/// Fewer errors tell no quantile.
const LEAST_ERRORS: f64 = 12.0;
/// Smaller weights are dropped.
const LEAST_WEIGHT: f64 = 1e-3;

/// The two models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Model {
    Naive,
    Trend,
}

impl Model {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Naive => "the level",
            Self::Trend => "the trend",
        }
    }
}

/// The errors of one model over one horizon, weighted by age.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Past {
    /// Weight by class; written as pairs, as the journal's lines are read by what they hold, and numbers as keys are then not understood.
    #[serde(with = "pairs")]
    classes: BTreeMap<u8, f64>,
    /// Sum of squared errors.
    squares: f64,
    /// Their number.
    count: f64,
}

/// A map as a list of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<u8, f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<u8, f64>, D::Error> {
        Vec::<(u8, f64)>::deserialize(deserializer).map(|pairs| pairs.into_iter().collect())
    }
}

/// The errors of both models over all horizons.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Errors {
    naive: [Past; 4],
    trend: [Past; 4],
}

impl Past {
    fn add(&mut self, error: f64, counts_in_histogram: bool) {
        if counts_in_histogram {
            self.classes.values_mut().for_each(|weight| *weight = short(*weight * DECAY));
            let weight = self.classes.entry(class(error)).or_insert(0.0);
            *weight = short(*weight + 1.0);
            self.classes.retain(|_, weight| *weight >= LEAST_WEIGHT);
        }
        self.squares = short(self.squares * DECAY + error * error);
        self.count = short(self.count * DECAY + 1.0);
    }

    fn mass(&self) -> f64 {
        self.classes.values().sum()
    }

    fn mean_square(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.squares / self.count)
    }
}

/// The class of an error.
fn class(error: f64) -> u8 {
    let index = ((error - LOWEST) / CLASS).floor();
    let last = f64::from(CLASSES - 1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the classes first"
    )]
    if index.is_nan() { 0 } else { index.clamp(0.0, last) as u8 }
}

impl Errors {
    fn past(&self, model: Model, horizon: usize) -> &Past {
        match model {
            Model::Naive => &self.naive[horizon],
            Model::Trend => &self.trend[horizon],
        }
    }

    /// Judges the forecasts that were made for this bin.
    pub(super) fn judge(&mut self, arrivals: &Arrivals, bin: i64) {
        let Some(real) = arrivals.level(bin, 3) else { return };
        for (index, horizon_s) in HORIZONS_S.into_iter().enumerate() {
            let made = bin - i64::from(horizon_s / 10);
            for model in [Model::Naive, Model::Trend] {
                let Some(forecast) = forecast(arrivals, model, made, horizon_s) else { continue };
                let error = (real / forecast).ln();
                let across = arrivals.shift_before(bin).is_some_and(|shift| made < shift);
                let past = match model {
                    Model::Naive => &mut self.naive[index],
                    Model::Trend => &mut self.trend[index],
                };
                past.add(error, !(across && error.abs() > 0.12));
            }
        }
    }
}

/// The rate that a model expects `horizon_s` seconds after a bin, in records per second.
fn forecast(arrivals: &Arrivals, model: Model, bin: i64, horizon_s: i32) -> Option<f64> {
    let level = arrivals.level(bin, 3)?;
    if model == Model::Naive {
        return Some(level);
    }
    let slope = arrivals.slope(bin, if horizon_s < 300 { 30 } else { 90 });
    let ahead_s = f64::from(horizon_s);
    Some((level + slope * ahead_s * (1.0 - ahead_s / 3600.0)).clamp(0.3 * level, 3.0 * level))
}

/// What is expected from the newest bin on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outlook<'a> {
    errors: &'a Errors,
    arrivals: &'a Arrivals,
    bin: i64,
    /// The share of forecasts that must have been covered.
    quantile: f64,
}

impl<'a> Outlook<'a> {
    pub(super) fn new(errors: &'a Errors, arrivals: &'a Arrivals, bin: i64, quantile: f64) -> Self {
        Self { errors, arrivals, bin, quantile }
    }

    /// The model that has been better over this horizon.
    fn best(self, horizon: usize) -> Model {
        let (naive, trend) =
            (self.errors.past(Model::Naive, horizon), self.errors.past(Model::Trend, horizon));
        if naive.count < 30.0 || trend.count < 60.0 {
            return Model::Naive;
        }
        match (naive.mean_square(), trend.mean_square()) {
            (Some(naive), Some(trend)) if trend < 0.8 * naive => Model::Trend,
            _ => Model::Naive,
        }
    }

    /// The model that is trusted over the horizon that contains this time.
    pub(super) fn model(self, ahead_s: f64) -> Model {
        let longer = HORIZONS_S.iter().position(|horizon_s| ahead_s <= f64::from(*horizon_s));
        self.best(longer.unwrap_or(HORIZONS_S.len() - 1))
    }

    /// Whether the trend is trusted over the longer horizons.
    pub(super) fn trusts_trend(self) -> bool {
        self.best(2) == Model::Trend || self.best(3) == Model::Trend
    }

    /// The change of the rate per second over 15 minutes.
    pub(super) fn slope(self) -> f64 {
        self.arrivals.slope(self.bin, 90)
    }

    fn expected(self, horizon: usize, rate_per_s: f64) -> f64 {
        match self.best(horizon) {
            Model::Naive => rate_per_s,
            model => forecast(self.arrivals, model, self.bin, HORIZONS_S[horizon]).unwrap_or(rate_per_s),
        }
    }

    /// The error that the wanted share of forecasts did not exceed, as a logarithm, not below 0.
    fn error_quantile(self, horizon: usize) -> f64 {
        let past = self.errors.past(self.best(horizon), horizon);
        let mass = past.mass();
        if mass < LEAST_ERRORS {
            return if HORIZONS_S[horizon] <= 60 { 0.10 } else { 0.15 };
        }
        let mut sum = 0.0;
        for (class, weight) in &past.classes {
            sum += weight;
            if sum >= self.quantile * mass {
                return (LOWEST + CLASS * (f64::from(*class) + 1.0)).max(0.0);
            }
        }
        1.0
    }

    /// The rate that is not exceeded within this time, by experience, `rate_per_s` being today's, in records per second.
    pub(super) fn upper(self, ahead_s: f64, rate_per_s: f64) -> f64 {
        let within = |horizon_s: i32| f64::from(horizon_s) <= ahead_s.max(30.0);
        let mut highest = rate_per_s;
        for (horizon, _) in HORIZONS_S.into_iter().enumerate().filter(|(_, horizon_s)| within(*horizon_s)) {
            let expected = self.expected(horizon, rate_per_s);
            highest = highest.max(expected * self.error_quantile(horizon).exp());
        }
        highest
    }

    /// The share of past forecasts over 300 s after which the rate would have been above this capacity.
    pub(super) fn exceeds(self, capacity_per_s: f64, rate_per_s: f64) -> f64 {
        const HORIZON: usize = 2;
        let expected = self.expected(HORIZON, rate_per_s);
        let past = self.errors.past(self.best(HORIZON), HORIZON);
        let mass = past.mass();
        if mass < LEAST_ERRORS {
            return if capacity_per_s < 1.15 * expected { 1.0 } else { 0.0 };
        }
        if expected <= 0.0 || capacity_per_s <= 0.0 {
            return if expected > 0.0 { 1.0 } else { 0.0 };
        }
        let from = class((capacity_per_s / expected).ln());
        past.classes.range(from..).map(|(_, weight)| weight).sum::<f64>() / mass
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Operator, Snapshot};

    /// Arrivals and errors after so many bins of this rate.
    fn after(bins: i64, rate_per_s: impl Fn(i64) -> f64) -> (Arrivals, Errors) {
        let (mut arrivals, mut errors) = (Arrivals::default(), Errors::default());
        for bin in 0..bins {
            let arrival_rate_per_s = Some(rate_per_s(bin));
            let source = Operator { kind: Kind::Source, arrival_rate_per_s, ..Operator::default() };
            let snapshot = Snapshot { operators: vec![source], ..Snapshot::default() };
            for full in arrivals.observe(&snapshot, (bin + 1) * 10_000, 10_000) {
                errors.judge(&arrivals, full);
            }
        }
        (arrivals, errors)
    }

    /// Uniform within 1 ± `part`, different for each number.
    fn wave(number: i64, part: f64) -> f64 {
        let mut mixed = u64::try_from(number).unwrap().wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let uniform = f64::from(u32::try_from(mixed >> 40).unwrap()) / f64::from(1_u32 << 23) - 1.0;
        1.0 + part * uniform
    }

    /// Goal: noise is forecast by the level with its own spread, a ramp by its trend; no histogram outgrows its decay.
    #[test]
    fn the_better_model_is_trusted() {
        let (arrivals, errors) = after(2000, |bin| 1000.0 * wave(bin, 0.08));
        let outlook = Outlook::new(&errors, &arrivals, 1999, 0.95);
        assert_eq!(outlook.model(300.0), Model::Naive);
        let upper = outlook.upper(300.0, 1000.0);
        assert!((1020.0..1120.0).contains(&upper), "{upper}");
        assert!(outlook.exceeds(900.0, 1000.0) > 0.9 && outlook.exceeds(1300.0, 1000.0) < 0.01);
        assert!(errors.naive.iter().chain(&errors.trend).all(|past| past.mass() <= 720.0));
        let ramp = |bin: i64| (1000.0 + 5.0 * f64::from(i32::try_from(bin).unwrap())) * wave(bin, 0.01);
        let (arrivals, errors) = after(400, ramp);
        let outlook = Outlook::new(&errors, &arrivals, 399, 0.95);
        assert!(outlook.trusts_trend());
        assert!((outlook.slope() - 0.5).abs() < 0.1, "{}", outlook.slope());
        assert!(outlook.upper(900.0, ramp(399)) > ramp(460));
    }

    /// Goal: a doubling every half hour is no spread of the forecasts.
    #[test]
    fn shifts_are_left_out() {
        let (arrivals, errors) =
            after(2000, |bin| if bin / 180 % 2 == 0 { 1000.0 } else { 2000.0 } * wave(bin, 0.03));
        let outlook = Outlook::new(&errors, &arrivals, 1999, 0.95);
        assert!(outlook.upper(300.0, 1000.0) < 1200.0, "{}", outlook.upper(300.0, 1000.0));
    }

    /// Goal: a few errors tell no quantile; the prior counts.
    #[test]
    fn a_prior_stands_in() {
        let (arrivals, errors) = after(5, |_| 1000.0);
        let outlook = Outlook::new(&errors, &arrivals, 4, 0.95);
        assert!((outlook.upper(60.0, 1000.0) / 0.10_f64.exp() - 1000.0).abs() < 1e-6);
        assert!((outlook.upper(900.0, 1000.0) / 0.15_f64.exp() - 1000.0).abs() < 1e-6);
    }
}
