//! Our policies, by the code that decides live: the control loop of the rescaler, epoch by epoch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use control::{ControlLoop, Deciding, LoopOptions, OperatorNames, PutEnd, Resumed, Step, Switches};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use scaling::ds2::{self, Ds2};
use scaling::external::{Answer, External};
use scaling::latency::{self, Latency};
use scaling::limits::{Bounds, Limits};
use scaling::slo::{self, Slo};
use scaling::{Constraints, Policy, Snapshot};

use super::Controller;
use super::documents::Documents;
use crate::observation::{Observer, at_ms};
use crate::view::View;

/// How long a document may be begun.
const DOCUMENT_TTL: Duration = Duration::from_secs(600);

/// How long a change may take; no scenario has one that lasts so long.
const APPLIED_WITHIN: Duration = Duration::from_secs(1_800);

type Ask = dyn Fn(&Snapshot) -> Result<Answer, String> + Send + Sync;

/// A program that is asked for the plan of a snapshot; its failure is a sentence.
#[derive(Clone)]
pub struct Asked(Arc<Ask>);

impl Asked {
    /// The program that answers like this.
    pub fn new(ask: impl Fn(&Snapshot) -> Result<Answer, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked")
    }
}

impl PartialEq for Asked {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// How our policies are set.
#[derive(Debug, Clone, PartialEq)]
pub struct OursOptions {
    /// What an epoch is.
    pub epoch: Observer,
    /// Options of policy `ds2`.
    pub ds2: ds2::Options,
    /// Options of policy `latency`.
    pub latency: latency::Options,
    /// Options of policy `slo`; its bound is the trial's.
    pub slo: slo::Options,
    /// The program of policy `external`; without one it plans nothing.
    pub external: Option<Asked>,
    /// Limits of every plan.
    pub limits: Limits,
}

impl Default for OursOptions {
    fn default() -> Self {
        Self {
            epoch: Observer { length_s: 120, warm_up_s: 10 },
            ds2: ds2::Options::default(),
            latency: latency::Options::default(),
            slo: slo::Options::default(),
            external: None,
            limits: Limits::default(),
        }
    }
}

impl OursOptions {
    /// Policy `ds2` for jobs that change quickly at little cost.
    pub fn fast() -> Self {
        let ds2 = ds2::Options {
            utilization_max: 0.85,
            catch_up_duration_s: 60.0,
            restart_time_s: 5.0,
            stabilization_interval_s: 30,
            scale_down_interval_s: 300,
            ..ds2::Options::default()
        };
        Self { epoch: Observer { length_s: 15, warm_up_s: 10 }, ds2, ..Self::default() }
    }
}

/// One of our policies, in its control loop.
#[derive(Debug)]
pub struct Ours {
    policy: Box<dyn Policy>,
    /// Asked anew in every epoch.
    asked: Option<Asked>,
    epoch: Observer,
    constraints: Constraints,
    /// From the first epoch on.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    control: ControlLoop,
    documents: Documents,
}

impl Ours {
    /// Policy `ds2`.
    pub fn ds2(options: &OursOptions) -> Self {
        Self::new(Box::new(Ds2(options.ds2.clone())), options)
    }

    /// Policy `latency`.
    pub fn latency(options: &OursOptions) -> Self {
        Self::new(Box::new(Latency(options.latency.clone())), options)
    }

    /// Policy `slo` with this bound, in its own epochs.
    pub fn slo(options: &OursOptions, latency_bound_s: f64) -> Self {
        let slo = slo::Options { latency_bound_ms: Some(latency_bound_s * 1000.0), ..options.slo.clone() };
        let length_s = u32::try_from(slo.epoch_s).unwrap_or(u32::MAX);
        let options = OursOptions { epoch: Observer { length_s, ..options.epoch }, ..options.clone() };
        Self::new(Box::new(Slo(slo)), &options)
    }

    /// Policy `external`.
    pub fn external(options: &OursOptions) -> Self {
        let idle = Self::new(Box::new(External(Ok(Answer::default()))), options);
        Self { asked: options.external.clone(), ..idle }
    }

    /// Any policy.
    pub fn new(policy: Box<dyn Policy>, options: &OursOptions) -> Self {
        let mut constraints = Constraints {
            limits: options.limits.clone(),
            thresholds: options.latency.thresholds(),
            ..Constraints::default()
        };
        // The cluster makes slots when they are asked for; how many there can be bounds each operator.
        constraints.size.slots_on_demand = true;
        Self { policy, asked: None, epoch: options.epoch, constraints, running: None }
    }

    fn begin(&self, view: View<'_>, now: Timestamp) -> Option<Running> {
        let mut constraints = self.constraints.clone();
        let operators = &mut constraints.limits.operators;
        let most = view.parallelism_max();
        let bounds = |index: usize| {
            let written = operators.get(view.name(index)).copied().unwrap_or_default();
            (view.name(index).to_owned(), Bounds { max: written.max.min(most), ..written })
        };
        *operators = (0..view.operators()).map(bounds).collect::<BTreeMap<String, Bounds>>();
        let options = LoopOptions {
            job: "simulated".to_owned(),
            constraints,
            document_ttl: DOCUMENT_TTL,
            applied_within: APPLIED_WITHIN,
            time_zone: TimeZone::UTC,
        };
        let control = ControlLoop::new(options, OperatorNames::default(), Resumed::default());
        Some(Running { control, documents: Documents::new(view, now)? })
    }
}

impl Controller for Ours {
    fn period_s(&self) -> u32 {
        self.epoch.length_s
    }

    fn tick(&mut self, view: &View<'_>) -> Option<Vec<u32>> {
        let now = Timestamp::from_millisecond(at_ms(view.now_s())).unwrap_or_default();
        if self.running.is_none() {
            self.running = self.begin(*view, now);
        }
        let Running { control, documents } = self.running.as_mut()?;
        documents.go_on(*view, now);
        let _ = control.note_reports(&*self.policy, documents.reports(), now);
        let deciding = match (documents.status(now), self.epoch.observe(*view)) {
            (Ok(running), Ok(snapshot)) => Deciding::Ready { running, snapshot },
            (Err(reason), snapshot) => Deciding::NotYet { reason, snapshot: snapshot.ok() },
            (Ok(_), Err(reason)) => Deciding::NotYet { reason: reason.to_string(), snapshot: None },
        };
        let answered = answered(self.asked.as_ref(), &deciding);
        let policy = answered.as_ref().map_or(&*self.policy, |external| external);
        let Step::Publish { document, .. } = control.epoch(policy, deciding, Switches::default(), now) else {
            return None;
        };
        let parallelism = document.parallelism().clone();
        documents.publish(document, *view, now);
        let _ = control.put_ended(&*self.policy, PutEnd::Stored, now);
        Some((0..view.operators()).map(|index| parallelism.of(view.name(index))).collect())
    }
}

/// What a program says to a whole snapshot that something can be decided on.
fn answered(asked: Option<&Asked>, deciding: &Deciding) -> Option<External> {
    match deciding {
        Deciding::Ready { snapshot, .. } if snapshot.missing.is_empty() => {
            asked.map(|asked| External((asked.0)(snapshot)))
        }
        _ => None,
    }
}
