//! Checks of the job: limits of its scaling, and risks of data loss.

use std::time::Duration;

use super::{Answer, CheckInput, RESTART, SUBMIT, Wrong, answer};
use crate::{Checkpointing, Harm, Version, VertexFacts};

/// Longest acceptable checkpoint interval: this much is reprocessed after a failure.
const INTERVAL_MOST: Duration = Duration::from_secs(60);
/// Maximum number of operators named in a finding.
const NAMES_MOST: usize = 3;
/// Maximum length of a name in a finding, in characters.
const NAME_CHARS: usize = 40;
/// Flink's default number of key groups, and its maximum.
const KEY_GROUPS: (u32, u32) = (128, 32_768);

pub(super) fn slots(seen: &CheckInput<'_>) -> Answer {
    let (Some(slots), Some(free)) = (seen.facts.slots, seen.facts.slots_free) else {
        return Answer::Unknown("Flink does not show its slots");
    };
    let on_demand = seen.facts.configuration.as_ref().is_some_and(|shown| shown.makes_slots_on_demand());
    if free > 0 || on_demand {
        return Answer::Right;
    }
    let found = match slots {
        0 => "no task manager has registered".to_owned(),
        slots => format!("all {slots} slots are taken"),
    };
    let of_one =
        seen.facts.configuration.as_ref().and_then(|shown| shown.get(&["taskmanager.numberOfTaskSlots"]));
    let of_one: u32 = of_one.and_then(|slots| slots.parse().ok()).unwrap_or(1);
    Answer::Wrong(Wrong {
        harm: Harm::Prevents,
        found,
        cost: "no operator can be widened until another task manager registers".to_owned(),
        change: vec![format!(
            "start more task managers, or taskmanager.numberOfTaskSlots: {} where cores and memory allow",
            of_one.saturating_mul(2).max(2)
        )],
        then: "start or restart task managers",
    })
}

pub(super) fn maximum_parallelism(seen: &CheckInput<'_>) -> Answer {
    answer(|| {
        let job = seen.job()?;
        let slots = seen.facts.slots.unwrap_or(0);
        // An inherently sequential operator has 1, and nothing helps.
        let is_tight = |vertex: &&VertexFacts| {
            vertex.max_parallelism > 1
                && (vertex.max_parallelism < slots.min(KEY_GROUPS.1)
                    || vertex.max_parallelism < vertex.parallelism.saturating_mul(2).min(KEY_GROUPS.1))
        };
        let tight: Vec<&VertexFacts> = job.vertices.iter().filter(is_tight).collect();
        if tight.is_empty() {
            return Ok(Answer::Right);
        }
        let widest = job.vertices.iter().map(|vertex| vertex.parallelism).max().unwrap_or(1).max(slots);
        let enough = widest.saturating_mul(4).next_power_of_two().clamp(KEY_GROUPS.0, KEY_GROUPS.1);
        let sentence = |vertex: &VertexFacts| {
            format!(
                "{} runs with {} of at most {}",
                short(&vertex.name),
                vertex.parallelism,
                vertex.max_parallelism
            )
        };
        Ok(Answer::Wrong(Wrong {
            harm: Harm::Prevents,
            found: named(&tight, sentence),
            cost: "it can never be widened further, whatever the load".to_owned(),
            change: vec![format!(
                "pipeline.max-parallelism: {enough}, and no setMaxParallelism in the program"
            )],
            then: "resubmit the job without its state: the number of key groups of a state cannot be changed",
        }))
    })
}

pub(super) fn checkpointing(seen: &CheckInput<'_>) -> Answer {
    answer(|| {
        match seen.job()?.checkpointing {
        Checkpointing::Unknown => Ok(Answer::Unknown("Flink does not show the job's checkpoint settings")),
        Checkpointing::Every(_) => Ok(Answer::Right),
        Checkpointing::Off => Ok(Answer::Wrong(Wrong {
            harm: Harm::Loses,
            found: "the job takes no checkpoints".to_owned(),
            cost: "every change and every failure restarts without state, with the sources at their start position"
                .to_owned(),
            change: vec!["execution.checkpointing.interval: 10 s".to_owned()],
            then: SUBMIT,
        })),
    }
    })
}

pub(super) fn checkpoint_interval(seen: &CheckInput<'_>) -> Answer {
    answer(|| {
        let Checkpointing::Every(interval) = seen.job()?.checkpointing else {
            return Ok(Answer::NotApplicable);
        };
        if interval <= INTERVAL_MOST {
            return Ok(Answer::Right);
        }
        let seconds = interval.as_secs();
        let by_hand = match seen.version {
            Some(version) if version < Version::TWO => {
                "; so does every change that the rescaler does not make (the rescaler triggers a checkpoint first)"
            }
            _ => "",
        };
        Ok(Answer::Wrong(Wrong {
            harm: Harm::Slows,
            found: format!("the job takes a checkpoint every {seconds} s"),
            cost: format!("losing a task manager reprocesses up to {seconds} s of records{by_hand}"),
            change: vec!["execution.checkpointing.interval: 10 s".to_owned()],
            then: SUBMIT,
        }))
    })
}

pub(super) fn checkpoint_storage(seen: &CheckInput<'_>) -> Answer {
    answer(|| {
        let job = seen.job()?;
        if job.checkpointing == Checkpointing::Off {
            return Ok(Answer::NotApplicable);
        }
        let Some(storage) = &job.checkpoint_storage else {
            return Ok(Answer::Unknown("Flink does not show where checkpoints are stored"));
        };
        if storage != "JobManagerCheckpointStorage" {
            return Ok(Answer::Right);
        }
        let change = match seen.version {
            Some(version) if version < Version::CHECKPOINT_NAMES => [
                "state.checkpoint-storage: filesystem",
                "state.checkpoints.dir: URL of a folder that all nodes see",
            ],
            _ => [
                "execution.checkpointing.storage: filesystem",
                "execution.checkpointing.dir: URL of a folder that all nodes see",
            ],
        };
        Ok(Answer::Wrong(Wrong {
            harm: Harm::Loses,
            found: "checkpoints are stored in the memory of the JobManager".to_owned(),
            cost: "checkpoints fail when a subtask has more than 5 MiB of state, and all are lost with the JobManager"
                .to_owned(),
            change: change.map(str::to_owned).into(),
            then: super::RESTART_AND_SUBMIT,
        }))
    })
}

pub(super) fn restart_strategy(seen: &CheckInput<'_>) -> Answer {
    answer(|| {
        let shown = seen.configuration()?;
        let set = shown.get(&["restart-strategy.type", "restart-strategy"]).unwrap_or_default();
        if !["none", "off", "disable"].iter().any(|none| set.eq_ignore_ascii_case(none)) {
            return Ok(Answer::Right);
        }
        Ok(Answer::Wrong(Wrong {
            harm: Harm::Loses,
            found: format!("the restart strategy is {set}"),
            cost: "the job ends when the first task manager is lost".to_owned(),
            change: vec!["restart-strategy.type: exponential-delay".to_owned()],
            then: RESTART,
        }))
    })
}

pub(super) fn lower_bounds(seen: &CheckInput<'_>) -> Answer {
    answer(|| {
        let job = seen.job()?;
        let is_bound = |vertex: &&VertexFacts| vertex.lower_bound.is_some_and(|lower| lower > 1);
        let bound: Vec<&VertexFacts> = job.vertices.iter().filter(is_bound).collect();
        if bound.is_empty() {
            let is_known = job.vertices.iter().any(|vertex| vertex.lower_bound.is_some());
            return Ok(if is_known { Answer::Right } else { Answer::NotApplicable });
        }
        let sentence = |vertex: &VertexFacts| {
            format!("{} has a lower bound of {}", short(&vertex.name), vertex.lower_bound.unwrap_or(1))
        };
        Ok(Answer::Wrong(Wrong {
            harm: Harm::Loses,
            found: named(&bound, sentence),
            cost:
                "after losing a task manager the whole job waits until there are slots for all lower bounds"
                    .to_owned(),
            change: vec![
                "\"lowerBound\": 1 for every vertex (PUT /jobs/ID/resource-requirements)".to_owned(),
            ],
            then: "nothing to restart: it takes effect at once",
        }))
    })
}

/// Joins a sentence about each of these vertices; about the first ones only if there are many.
fn named(vertices: &[&VertexFacts], sentence: impl Fn(&VertexFacts) -> String) -> String {
    let shown: Vec<String> = vertices.iter().take(NAMES_MOST).copied().map(&sentence).collect();
    let more = match vertices.len().saturating_sub(NAMES_MOST) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

fn short(name: &str) -> String {
    match name.char_indices().nth(NAME_CHARS) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
