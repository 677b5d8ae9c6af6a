//! This project's policies in the simulator, run by the rescaler's own control loop, epoch by epoch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use control::{
    ControlLoop, LoopOptions, NextAction, OperatorNames, PutOutcome, Readiness, ResumedState, Switches,
};
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

/// How long after publication a document may be started.
const DOCUMENT_TTL: Duration = Duration::from_secs(600);

/// Timeout of a change; longer than any in the scenarios.
const APPLIED_WITHIN: Duration = Duration::from_secs(1_800);

type Ask = dyn Fn(&Snapshot) -> Result<Answer, String> + Send + Sync;

/// A callback that plans for a snapshot, or fails with a sentence.
#[derive(Clone)]
pub struct PlanCallback(Arc<Ask>);

impl PlanCallback {
    /// Wraps the callback.
    pub fn new(ask: impl Fn(&Snapshot) -> Result<Answer, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }
}

impl fmt::Debug for PlanCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlanCallback")
    }
}

impl PartialEq for PlanCallback {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Options of this project's policies.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnPolicyOptions {
    /// Length and warm-up of an epoch.
    pub epoch: Observer,
    /// Options of policy `ds2`.
    pub ds2: ds2::Options,
    /// Options of policy `latency`.
    pub latency: latency::Options,
    /// Options of policy `slo`; its bound comes from the trial.
    pub slo: slo::Options,
    /// The program of policy `external`; without it, there are no plans.
    pub external: Option<PlanCallback>,
    /// Limits of every plan.
    pub limits: Limits,
}

impl Default for OwnPolicyOptions {
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

impl OwnPolicyOptions {
    /// Returns policy `ds2` for jobs that rescale quickly and cheaply.
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

    /// Returns the same options with this change price of policy `slo`, in seconds of the present slots.
    pub fn with_change_price(&self, change_price_s: f64) -> Self {
        Self { slo: slo::Options { change_price_s, ..self.slo.clone() }, ..self.clone() }
    }
}

/// One of this project's policies in its control loop.
#[derive(Debug)]
pub struct OwnPolicy {
    policy: Box<dyn Policy>,
    /// Called in every epoch.
    asked: Option<PlanCallback>,
    epoch: Observer,
    constraints: Constraints,
    /// Set from the first epoch on.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    control: ControlLoop,
    documents: Documents,
}

impl OwnPolicy {
    /// Creates policy `ds2`.
    pub fn ds2(options: &OwnPolicyOptions) -> Self {
        Self::new(Box::new(Ds2(options.ds2.clone())), options)
    }

    /// Creates policy `latency`.
    pub fn latency(options: &OwnPolicyOptions) -> Self {
        Self::new(Box::new(Latency(options.latency.clone())), options)
    }

    /// Creates policy `slo` with this bound, in its own epochs.
    pub fn slo(options: &OwnPolicyOptions, latency_bound_s: f64) -> Self {
        let slo = slo::Options { latency_bound_ms: Some(latency_bound_s * 1000.0), ..options.slo.clone() };
        let length_s = u32::try_from(slo.epoch_s).unwrap_or(u32::MAX);
        let options = OwnPolicyOptions { epoch: Observer { length_s, ..options.epoch }, ..options.clone() };
        Self::new(Box::new(Slo(slo)), &options)
    }

    /// Creates policy `external`.
    pub fn external(options: &OwnPolicyOptions) -> Self {
        let idle = Self::new(Box::new(External(Ok(Answer::default()))), options);
        Self { asked: options.external.clone(), ..idle }
    }

    /// Creates any policy.
    pub fn new(policy: Box<dyn Policy>, options: &OwnPolicyOptions) -> Self {
        let mut constraints = Constraints {
            limits: options.limits.clone(),
            thresholds: options.latency.thresholds(),
            ..Constraints::default()
        };
        // The cluster provides slots on demand; the maximum parallelism bounds each operator.
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
            restore: None,
        };
        let control = ControlLoop::new(options, OperatorNames::default(), ResumedState::default());
        Some(Running { control, documents: Documents::new(view, now)? })
    }
}

impl Controller for OwnPolicy {
    fn period_s(&self) -> u32 {
        self.epoch.length_s
    }

    fn tick(&mut self, view: &View<'_>) -> Option<Vec<u32>> {
        let now = Timestamp::from_millisecond(at_ms(view.now_s())).unwrap_or_default();
        if self.running.is_none() {
            self.running = self.begin(*view, now);
        }
        let Running { control, documents } = self.running.as_mut()?;
        documents.report_outcome(*view, now);
        let _ = control.note_reports(&*self.policy, documents.reports(), now);
        let readiness = match (documents.status(now), self.epoch.observe(*view)) {
            (Ok(running), Ok(snapshot)) => Readiness::Ready { running, snapshot },
            (Err(reason), snapshot) => Readiness::NotYet { reason, snapshot: snapshot.ok() },
            (Ok(_), Err(reason)) => Readiness::NotYet { reason: reason.to_string(), snapshot: None },
        };
        let answered = answered(self.asked.as_ref(), &readiness);
        let policy = answered.as_ref().map_or(&*self.policy, |external| external);
        let NextAction::Publish { document, .. } = control.epoch(policy, readiness, Switches::default(), now)
        else {
            return None;
        };
        let parallelism = document.parallelism().clone();
        documents.publish(document, *view, now);
        let _ = control.put_ended(&*self.policy, PutOutcome::Stored, now);
        Some((0..view.operators()).map(|index| parallelism.of(view.name(index))).collect())
    }
}

/// Calls the program on a complete snapshot.
fn answered(asked: Option<&PlanCallback>, readiness: &Readiness) -> Option<External> {
    match readiness {
        Readiness::Ready { snapshot, .. } if snapshot.missing.is_empty() => {
            asked.map(|asked| External((asked.0)(snapshot)))
        }
        _ => None,
    }
}
