//! What a final report says of a job: its vertices' parallelism, and Flink's record of the rescale.

use std::collections::BTreeMap;

use flink::{JobDetails, Rescale, Vertex};
use jiff::Timestamp;
use job_config::{Observed, ObservedRescale};

/// How many rescales a report carries at most; the drop bounds its size.
const RESCALES_MOST: usize = 8;

/// Returns the newest rescales that began after `since`, newest first.
pub(crate) fn newest(mut rescales: Vec<Rescale>, since: Timestamp) -> Vec<Rescale> {
    rescales.retain(|rescale| rescale.started_ms.is_some_and(|started| started >= since.as_millisecond()));
    rescales.sort_by_key(|rescale| std::cmp::Reverse(rescale.started_ms));
    rescales.truncate(RESCALES_MOST);
    rescales
}

/// Builds the observation from job details, task managers and rescales.
pub(crate) fn from_details(details: &JobDetails, task_managers: u32, rescales: Vec<Rescale>) -> Observed {
    let name = |vertex: &Vertex| name_of(vertex, &details.vertices);
    let parallelism = details.vertices.iter().map(|vertex| (name(vertex), vertex.parallelism)).collect();
    let rescales = rescales.into_iter().filter_map(|rescale| one(rescale, &details.vertices)).collect();
    Observed { parallelism, task_managers: Some(task_managers), rescales }
}

fn one(rescale: Rescale, vertices: &[Vertex]) -> Option<ObservedRescale> {
    let at = Timestamp::from_millisecond(rescale.started_ms?).ok()?;
    let duration = rescale.ended_ms.zip(rescale.started_ms).map(|(end, start)| end - start);
    let named: BTreeMap<String, [Option<u32>; 3]> = rescale
        .vertices
        .into_iter()
        .map(|(id, vertex)| {
            let known = vertices.iter().find(|known| known.id.as_str() == id);
            let name = known.map_or(id, |known| name_of(known, vertices));
            (name, [vertex.before, vertex.desired, vertex.after])
        })
        .collect();
    Some(ObservedRescale {
        at,
        duration_ms: duration.and_then(|ms| u64::try_from(ms).ok()),
        outcome: rescale.outcome,
        cause: rescale.cause,
        vertices: named,
    })
}

/// Returns the first operator's name, or the vertex id where two vertices share that name.
fn name_of(vertex: &Vertex, all: &[Vertex]) -> String {
    let twins = all.iter().filter(|other| other.head_operator() == vertex.head_operator()).count();
    match twins {
        0 | 1 => vertex.head_operator().to_owned(),
        _ => vertex.id.to_string(),
    }
}
