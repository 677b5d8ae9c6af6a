//! When the tasks of a vertex entered their states (`/jobs/:jobid/vertices/:vertexid/subtasktimes`).

use serde::Deserialize;

use crate::lenient::or_default;
use crate::{Client, Error, JobId, VertexId};

/// Times of one subtask's newest attempt, in milliseconds since the Unix epoch; [`None`] for a state that it has not entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskTimes {
    /// When it was created.
    pub created_ms: Option<i64>,
    /// When it began to process records.
    pub running_ms: Option<i64>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, deserialize_with = "or_default")]
    subtasks: Vec<Subtask>,
}

#[derive(Deserialize)]
struct Subtask {
    #[serde(default, deserialize_with = "or_default")]
    timestamps: Timestamps,
}

/// Flink reports 0 for a state that was not entered.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
struct Timestamps {
    created: i64,
    running: i64,
}

impl Answer {
    fn times(self) -> Vec<TaskTimes> {
        let entered = |at_ms: i64| (at_ms > 0).then_some(at_ms);
        let times = |Timestamps { created, running }| TaskTimes {
            created_ms: entered(created),
            running_ms: entered(running),
        };
        self.subtasks.into_iter().map(|subtask| times(subtask.timestamps)).collect()
    }
}

impl Client {
    /// Fetches when a vertex' subtasks entered their states.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn task_times(&self, job: &JobId, vertex: &VertexId) -> Result<Vec<TaskTimes>, Error> {
        let answer: Answer = self.get(&format!("jobs/{job}/vertices/{vertex}/subtasktimes"), &[]).await?;
        Ok(answer.times())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: times in Flink 2.3's format are parsed; 0 is a state that was not entered.
    #[test]
    fn times_are_read() {
        let text = r#"{"id":"aa","name":"Source: a","now":99,"subtasks":[
            {"subtask":0,"host":"h","endpoint":"h:1","duration":9,"timestamps":{"CREATED":5,"SCHEDULED":6,"INITIALIZING":7,"RUNNING":8}},
            {"subtask":1,"duration":1,"timestamps":{"CREATED":5,"RUNNING":0}},{"subtask":2,"timestamps":null}]}"#;
        let answer: Answer = serde_json::from_str(text).unwrap();
        let times: Vec<_> =
            answer.times().into_iter().map(|task| (task.created_ms, task.running_ms)).collect();
        assert_eq!(times, [(Some(5), Some(8)), (Some(5), None), (None, None)]);
    }
}
