//! The page `/metrics` of all programs: the Prometheus text format 0.0.4, encoded by crate `prometheus`.
//!
//! A program builds the page for each scrape from values that it has anyway, so there is no registry. A metric without
//! a sample is omitted: a missing series means unknown, and 0 would be a measurement.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use prometheus::TextEncoder;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// Media type of the page, as Prometheus' own clients write it; Prometheus 3 rejects pages with an unknown one.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A total since the start of the program. Its name ends in `_total` by convention.
    Counter,
    /// A value that rises and falls.
    Gauge,
}

/// A value of a sample. Prometheus stores all values as `f64`, which is exact for integers up to 2^53.
pub trait Value {
    /// Converts the value; `true` is 1.
    fn to_f64(self) -> f64;
}

impl Value for f64 {
    fn to_f64(self) -> f64 {
        self
    }
}

impl Value for u64 {
    fn to_f64(self) -> f64 {
        self as f64
    }
}

impl Value for usize {
    fn to_f64(self) -> f64 {
        self as f64
    }
}

impl Value for bool {
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self))
    }
}

/// The metrics of one scrape, in the order of their addition. As a response it is the whole page.
#[derive(Debug, Default)]
pub struct MetricsPage {
    families: Vec<MetricFamily>,
}

impl MetricsPage {
    /// Adds a counter; see [`MetricsPage::metric`].
    pub fn counter(&mut self, name: impl Into<String>, help: &str) -> Samples<'_> {
        self.metric(Type::Counter, name, help)
    }

    /// Adds a gauge; see [`MetricsPage::metric`].
    pub fn gauge(&mut self, name: impl Into<String>, help: &str) -> Samples<'_> {
        self.metric(Type::Gauge, name, help)
    }

    /// Adds a metric without samples. The name is unique on the page and consists of ASCII letters, digits and `_`; the
    /// help text is escaped.
    pub fn metric(&mut self, kind: Type, name: impl Into<String>, help: &str) -> Samples<'_> {
        let mut family = MetricFamily::default();
        family.set_name(name.into());
        family.set_help(help.to_owned());
        family.set_field_type(match kind {
            Type::Counter => MetricType::COUNTER,
            Type::Gauge => MetricType::GAUGE,
        });
        self.families.push(family);
        let last = self.families.len() - 1;
        Samples { family: &mut self.families[last], kind }
    }

    /// Returns the page in the text format.
    pub fn into_text(mut self) -> String {
        self.families.retain(|family| !family.get_metric().is_empty());
        let mut text = String::new();
        // Fails for a metric without samples or without a name.
        if let Err(error) = TextEncoder::new().encode_utf8(&self.families, &mut text) {
            tracing::error!(%error, "the metrics page is incomplete");
        }
        text
    }
}

impl IntoResponse for MetricsPage {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, MEDIA_TYPE), (CACHE_CONTROL, "no-store")], self.into_text()).into_response()
    }
}

/// The samples of one metric.
#[derive(Debug)]
pub struct Samples<'p> {
    family: &'p mut MetricFamily,
    kind: Type,
}

impl Samples<'_> {
    /// Adds a sample. Label values may contain anything; label names are as metric names, and no two samples of a
    /// metric have the same labels.
    pub fn add(&mut self, labels: &[(&str, &str)], value: impl Value) {
        let mut metric = Metric::from_label(labels.iter().map(label).collect());
        match self.kind {
            Type::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value.to_f64());
                metric.set_counter(counter);
            }
            Type::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value.to_f64());
                metric.set_gauge(gauge);
            }
        }
        self.family.mut_metric().push(metric);
    }

    /// Adds a sample if its value is known.
    pub fn add_known(&mut self, labels: &[(&str, &str)], value: Option<impl Value>) {
        if let Some(value) = value {
            self.add(labels, value);
        }
    }
}

fn label((name, value): &(&str, &str)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name((*name).to_owned());
    pair.set_value((*value).to_owned());
    pair
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the page is the text format to the byte: help and type once before the samples of a name, no braces
    /// without labels, numbers in full, and metrics without samples omitted.
    #[test]
    fn a_page_is_in_the_text_format() {
        let mut page = MetricsPage::default();
        let mut requests = page.counter("requests_total", "Requests answered.");
        requests.add(&[("method", "GET"), ("status", "200")], 9_007_199_254_740_992_u64);
        requests.add(&[("method", "PUT"), ("status", "409")], 0_u64);
        page.gauge("unknown", "A figure of nothing.").add_known(&[], None::<f64>);
        page.gauge("age_seconds", "Time since the last sample.").add(&[], 0.000_000_25);
        page.gauge("up", "Whether it runs.").add_known(&[], Some(true));
        page.gauge("largest", "Without an exponent.").add(&[], 1e22);
        page.gauge("infinite", "Also a value.").add(&[], f64::INFINITY);
        let expected = "\
# HELP requests_total Requests answered.
# TYPE requests_total counter
requests_total{method=\"GET\",status=\"200\"} 9007199254740992
requests_total{method=\"PUT\",status=\"409\"} 0
# HELP age_seconds Time since the last sample.
# TYPE age_seconds gauge
age_seconds 0.00000025
# HELP up Whether it runs.
# TYPE up gauge
up 1
# HELP largest Without an exponent.
# TYPE largest gauge
largest 10000000000000000000000
# HELP infinite Also a value.
# TYPE infinite gauge
infinite inf
";
        assert_eq!(page.into_text(), expected);
    }

    /// Goal: a label stays one label on one line and a help text one line, whatever they contain.
    #[test]
    fn labels_and_help_are_escaped() {
        let mut page = MetricsPage::default();
        page.gauge("x", "a \"b\"\n\\c").add(&[("operator", "a\"} 7\n\\b é")], 1_u64);
        let expected =
            "# HELP x a \"b\"\\n\\\\c\n# TYPE x gauge\nx{operator=\"a\\\"} 7\\n\\\\b é\"} 1\n".to_owned();
        assert_eq!(page.into_text(), expected);
    }

    /// Goal: the response has the media type that Prometheus expects, and is not cached.
    #[test]
    fn a_response_names_its_format() {
        let response = MetricsPage::default().into_response();
        assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }
}
