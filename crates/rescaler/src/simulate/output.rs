//! Results for people and for programs.

use std::fmt::Write as _;

use sim::contender::Contender;
use sim::scenario::{Scenario, ScenarioSet};
use sim::scoreboard::{Group, Mean, Sum};
use terminal::Grid;

use super::batch::{Batch, RunScore};

/// The scenarios and policies that there are.
pub(super) fn list() -> String {
    let mut text = "scenarios\n".to_owned();
    for scenario in Scenario::all() {
        let set = match scenario.set {
            ScenarioSet::Tuning => "tuning",
            ScenarioSet::HoldOut => "hold-out",
            ScenarioSet::Own => "own",
        };
        let hours = f64::from(scenario.duration_s) / 3600.0;
        let limited = if scenario.is_externally_limited { ", externally limited" } else { "" };
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(
            text,
            "  {:<20} {set}, {hours} h, bound {} s{limited}",
            scenario.name, scenario.latency_bound_s
        );
    }
    text.push_str("policies\n");
    for contender in Contender::named() {
        let _ = writeln!(text, "  {:<20} {}", contender.as_str(), contender.description());
    }
    text.truncate(text.trim_end().len());
    text
}

/// The mean score of each scenario under each policy, and sums.
pub(super) fn table(batch: &Batch, results: &[RunScore]) -> String {
    let names = batch.contenders.iter().map(|contender| contender.as_str().to_owned());
    let mut table = Grid::new(["scenario".to_owned()].into_iter().chain(names)).without_lines();
    let mut sums = vec![[Sum::default(); Group::ALL.len()]; batch.contenders.len()];
    for scenario in &batch.scenarios {
        let mut row = vec![scenario.name.clone()];
        for (contender, sums) in batch.contenders.iter().zip(&mut sums) {
            let of_it = |run: &&RunScore| run.scenario == scenario.name && run.policy == *contender;
            let mean = Mean::new(results.iter().filter(of_it).map(|run| &run.score));
            sums[Group::from_scenario(scenario) as usize].add(&mean);
            row.push(cell(&Sum::from(&mean)));
        }
        table.row(row);
    }
    if batch.scenarios.len() > 1 {
        for group in Group::ALL {
            if batch.scenarios.iter().any(|scenario| Group::from_scenario(scenario) == group) {
                let cells = sums.iter().map(|sums| cell(&sums[group as usize]));
                table.row([group.title().to_owned()].into_iter().chain(cells));
            }
        }
    }
    let table = table.render(terminal::width());
    format!("violation seconds/slot-hours/changes/reversals, means over the seeds\n{table}")
}

/// `violation/slot-hours/changes/reversals`
pub(super) fn cell(sum: &Sum) -> String {
    format!("{:.0}/{:.0}/{:.1}/{:.1}", sum.violation_s, sum.slot_h, sum.changes, sum.reversals)
}

/// A line for each run.
pub(super) fn csv(results: &[RunScore]) -> String {
    let mut text = "scenario,policy,seed,violation_s,slot_h,changes,reversals,self_made,carried_after_s,late_until_s,widest_over_needed".to_owned();
    let figure = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for RunScore { scenario, policy, seed, score, .. } in results {
        let _ = write!(
            text,
            "\n{scenario},{policy},{seed},{},{},{},{},{},{},{},{}",
            score.violation_s,
            score.slot_h,
            score.changes,
            score.reversals,
            score.self_made,
            figure(score.carried_after_s),
            figure(score.late_until_s),
            figure(score.widest_over_needed),
        );
    }
    text
}
