//! Policy `external`: another program decides, and its answer is validated here.
//!
//! The program gets the snapshot as JSON and responds with a plan ([`Answer`]). The caller runs it. An answer is accepted or rejected as a
//! whole: a plan with one impossible entry indicates a misunderstanding. A widening that was useless twice is removed from the plan and
//! reported ([`Memory`]).

mod memory;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use memory::Memory;

use crate::{Action, Decision, Kind, Operator, OperatorReport, Policy, Rejected, Snapshot, Traits};

/// The policy's name in configuration and records.
pub const NAME: &str = "external";

/// At most so many reasons of a program are kept …
const REASONS_MAX: usize = 20;
/// … and of each so many characters.
const REASON_CHARS_MAX: usize = 500;

/// A program's answer. Members that are not named here are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// New parallelism by operator; operators that are not named keep theirs.
    pub parallelism: BTreeMap<String, u32>,
    /// New parallelism of operators without one of their own.
    #[serde(default)]
    pub default_parallelism: Option<u32>,
    /// Why, in sentences.
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// The policy with the program's answer to this epoch's snapshot, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct External(pub Result<Answer, String>);

impl Policy for External {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits { may_narrow: true, keeps_forward: true, reports_cluster: false }
    }

    fn decide(&self, memory: &crate::Memory, snapshot: &Snapshot, _now_ms: i64) -> Decision {
        let mut decision = self.plan(snapshot);
        drop_useless_scale_outs(&memory.external, snapshot, &mut decision);
        decision
    }

    fn plan(&self, snapshot: &Snapshot) -> Decision {
        decide(&self.0, snapshot)
    }

    fn published(&self, memory: &mut crate::Memory, decision: &Decision, _now_ms: i64) {
        memory.external.published(decision);
    }
}

/// Takes the widenings that bring nothing out of a plan, and says why.
fn drop_useless_scale_outs(memory: &Memory, snapshot: &Snapshot, decision: &mut Decision) {
    for operator in &snapshot.operators {
        let wanted = decision.parallelism.get(&operator.name).copied();
        let Some(wanted) = wanted.filter(|wanted| *wanted > operator.parallelism) else { continue };
        let Some(because) = memory.useless(operator, snapshot) else { continue };
        decision.parallelism.remove(&operator.name);
        if let Some(report) = decision.operators.iter_mut().find(|report| report.name == operator.name) {
            (report.new_parallelism, report.because) = (None, because.clone());
        }
        let rejected =
            Rejected { operator: operator.name.clone(), parallelism: wanted, because: because.clone() };
        decision.rejected.push(rejected);
        decision.reasons.insert(0, because);
    }
    if !decision.has_change() {
        decision.action = Action::None;
    }
}

/// The decision that an answer amounts to; a failure of the program, told in a sentence, is a reason to change nothing.
fn decide(answer: &Result<Answer, String>, snapshot: &Snapshot) -> Decision {
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => return Decision::nothing(NAME, format!("the program gave no plan: {failure}")),
    };
    if let Some(problem) = problem(answer, snapshot) {
        return Decision::nothing(NAME, format!("the program's plan is refused: {problem}"));
    }
    let mut decision = Decision::nothing(NAME, "the program changes nothing");
    let changes = |(name, new): (&String, &u32)| {
        let operator = snapshot.operator(name)?;
        (operator.parallelism != *new).then(|| (name.clone(), *new))
    };
    decision.parallelism = answer.parallelism.iter().filter_map(changes).collect();
    decision.default_parallelism = answer.default_parallelism.filter(|new| *new != snapshot.job.parallelism);
    decision.operators = snapshot.operators.iter().map(|operator| report(operator, &decision)).collect();
    if decision.has_change() {
        (decision.action, decision.reasons) = (Action::Rescale, vec!["chosen by the program".to_owned()]);
    }
    let told = answer.reasons.iter().take(REASONS_MAX);
    let told: Vec<String> = told.map(|reason| reason.chars().take(REASON_CHARS_MAX).collect()).collect();
    if !told.is_empty() {
        decision.reasons = told;
    }
    decision
}

fn report(operator: &Operator, decision: &Decision) -> OperatorReport {
    let new = decision.parallelism.get(&operator.name).copied();
    OperatorReport {
        name: operator.name.clone(),
        kind: operator.kind,
        latency_ms: operator.latency_ms,
        parallelism: operator.parallelism,
        new_parallelism: new,
        because: if new.is_some() { "chosen by the program" } else { "unchanged" }.to_owned(),
        figures: memory::capacity_per_s(operator)
            .map(|capacity_per_s| (memory::CAPACITY.to_owned(), capacity_per_s))
            .into_iter()
            .collect(),
    }
}

/// The first thing that is wrong with a plan.
fn problem(answer: &Answer, snapshot: &Snapshot) -> Option<String> {
    let job_max = snapshot.job.max_parallelism;
    if let Some(default) = answer.default_parallelism.filter(|default| !(1..=job_max).contains(default)) {
        return Some(format!("default_parallelism {default} is outside 1..={job_max}"));
    }
    answer.parallelism.iter().find_map(|(name, new)| {
        let Some(operator) = snapshot.operator(name) else {
            return Some(format!("unknown operator {name:?}"));
        };
        let max = operator.max_parallelism.unwrap_or(job_max).min(job_max);
        if !(1..=max).contains(new) {
            return Some(format!("parallelism {new} of {name} is outside 1..={max}"));
        }
        if operator.kind == Kind::AllWindow && *new != 1 {
            return Some(format!("{name} is an all-window operator and always runs at 1"));
        }
        let known =
            [operator.latency_ms, operator.throughput_per_s, operator.input_rate_per_s, operator.busy_ratio];
        let is_unknown = known.iter().all(Option::is_none);
        (is_unknown && *new != operator.parallelism)
            .then(|| format!("{name} has no metrics, so it is not changed"))
    })
}
