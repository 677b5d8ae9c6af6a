//! Responses about one job: overview, details, checkpoints, exceptions.

use serde_json::{Map, Value, json};

use crate::metrics::Clock;
use crate::requirements::{Required, count};
use crate::scenario::{Failure, Job, Vertex};
use crate::version::Version;

/// Default age of a job, in milliseconds.
const AGE_MS: i64 = 7_200_000;

/// States with a timestamp in the details, besides `CREATED` and `RUNNING`.
const OTHER_STATES: [&str; 10] = [
    "INITIALIZING",
    "RESTARTING",
    "RECONCILING",
    "FAILED",
    "FAILING",
    "SUSPENDED",
    "CANCELLING",
    "CANCELED",
    "FINISHED",
    "DEPLOYING",
];

/// One job at one time.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) job: &'a Job,
    pub(crate) required: &'a Required,
    /// Start of the stand-in by the JobManager's clock, in milliseconds since the Unix epoch.
    pub(crate) started_ms: i64,
    /// The JobManager's clock, in milliseconds since the Unix epoch.
    pub(crate) now_ms: i64,
    /// Seconds since the start of the stand-in.
    pub(crate) elapsed_s: f64,
    pub(crate) version: Version,
}

/// Position of a job in its restart loop.
struct Loop<'a> {
    failure: &'a Failure,
    /// Restarts so far.
    restarts: u32,
    /// Time of the newest restart, in seconds since the start of the stand-in.
    restarted_s: f64,
    is_over: bool,
}

impl<'a> View<'a> {
    fn restart_loop(&self) -> Option<Loop<'a>> {
        let failure = self.job.failing_after_rescale.as_ref().filter(|failure| failure.every_s > 0.0)?;
        let changed_s = self.required.changed_s?;
        let is_as_before =
            |vertex: &Vertex| self.required.parallelism(self.job, vertex) == vertex.parallelism;
        if self.job.vertices.iter().all(is_as_before) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive count")]
        let cycles = ((self.elapsed_s - changed_s).max(0.0) / failure.every_s) as u32;
        let restarts = failure.times.map_or(cycles, |times| cycles.min(times));
        let restarted_s = changed_s + f64::from(restarts) * failure.every_s;
        let is_over = failure.times.is_some_and(|times| cycles >= times);
        Some(Loop { failure, restarts, restarted_s, is_over })
    }

    /// Returns the state: within a restart loop, `RESTARTING` in the second half of each cycle.
    fn state(&self) -> &'a str {
        let is_down = self.restart_loop().is_some_and(|restarting| {
            !restarting.is_over && self.elapsed_s - restarting.restarted_s > restarting.failure.every_s / 2.0
        });
        if is_down { "RESTARTING" } else { self.job.state.as_deref().unwrap_or("RUNNING") }
    }

    /// Returns when the tasks were last restarted by a rescale or a failure, in seconds since the start of the
    /// stand-in.
    fn restarted_s(&self) -> Option<f64> {
        self.restart_loop().map(|restarting| restarting.restarted_s).or(self.required.changed_s)
    }

    /// Returns the times that its metrics depend on.
    pub(crate) fn clock(&self) -> Clock {
        Clock { elapsed_s: self.elapsed_s, restarted_s: self.restarted_s() }
    }

    fn running_since_ms(&self) -> i64 {
        let age_ms = self.job.age_ms.unwrap_or(AGE_MS);
        if self.job.moving_since {
            return self.now_ms - age_ms;
        }
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a test")]
        self.restarted_s().map_or(self.started_ms - age_ms, |s| self.started_ms + (s * 1000.0) as i64)
    }

    /// Returns its entry in `/jobs/overview`.
    pub(crate) fn overview(&self, scheduler: &str) -> Value {
        let mut line = json!({
            "jid": self.job.jid, "name": self.job.name, "state": self.state(), "start-time": self.running_since_ms(),
            "end-time": -1, "duration": 1, "last-modification": 1, "tasks": {},
        });
        if self.version >= Version::SCHEDULER_TYPE {
            line["schedulerType"] = json!(scheduler);
        }
        line
    }

    /// Returns the response of `/jobs/:id`.
    pub(crate) fn details(&self) -> Value {
        let since_ms = self.running_since_ms();
        let mut timestamps: Map<String, Value> =
            OTHER_STATES.iter().map(|state| ((*state).to_owned(), json!(0))).collect();
        timestamps.insert("RUNNING".to_owned(), json!(since_ms));
        timestamps.insert("CREATED".to_owned(), json!(since_ms - 100));
        let nodes: Vec<Value> = self.job.vertices.iter().map(|vertex| self.node(vertex)).collect();
        let vertices: Vec<Value> = self.job.vertices.iter().map(|vertex| self.vertex(vertex)).collect();
        let mut details = json!({
            "jid": self.job.jid, "name": self.job.name, "isStoppable": false, "state": self.state(),
            "job-type": self.job.job_type.as_deref().unwrap_or("STREAMING"), "start-time": since_ms, "end-time": -1,
            "duration": 1, "maxParallelism": self.job.max_parallelism.unwrap_or(-1), "now": self.now_ms,
            "timestamps": timestamps, "vertices": vertices, "status-counts": {},
            "plan": { "jid": self.job.jid, "name": self.job.name, "type": "STREAMING", "nodes": nodes },
        });
        for (key, value) in &self.job.extra {
            details[key] = value.clone();
        }
        details
    }

    /// Returns the response of `/jobs/:id/config`. A job that waits for its slots shows no parameters, as under the adaptive scheduler.
    pub(crate) fn config(&self) -> Value {
        let mut config = json!({ "jid": self.job.jid, "name": self.job.name });
        if !matches!(self.state(), "INITIALIZING" | "CREATED") {
            config["execution-config"] = json!({
                "restart-strategy": "Cluster level default restart strategy", "job-parallelism": -1,
                "object-reuse-mode": false, "user-config": self.job.parameters,
            });
        }
        config
    }

    fn vertex(&self, vertex: &Vertex) -> Value {
        let is_failing = self.restart_loop().is_some_and(|restarting| !restarting.is_over);
        let status = match self.state() {
            "RESTARTING" => "CREATED",
            _ if is_failing => "INITIALIZING",
            _ => vertex.status.as_deref().unwrap_or("RUNNING"),
        };
        let mut details = json!({
            "id": vertex.id, "name": vertex.name, "maxParallelism": vertex.max_parallelism.unwrap_or(128),
            "parallelism": self.required.parallelism(self.job, vertex), "status": status, "start-time": 1,
            "end-time": -1, "duration": 1, "tasks": self.tasks(vertex),
            "metrics": {
                "read-bytes": 0, "read-bytes-complete": true, "write-bytes": 0, "write-bytes-complete": true,
                "read-records": 0, "read-records-complete": true, "write-records": 0, "write-records-complete": true,
                "accumulated-backpressured-time": 0, "accumulated-idle-time": 0, "accumulated-busy-time": "NaN",
            },
        });
        if self.version >= Version::SLOT_SHARING_GROUPS {
            details["slotSharingGroupId"] = json!("a".repeat(32));
        }
        if let Some(details) = details.as_object_mut() {
            vertex.drop.iter().for_each(|key| drop(details.remove(key)));
            details.extend(vertex.extra.clone());
        }
        details
    }

    /// Counts subtasks by state.
    fn tasks(&self, vertex: &Vertex) -> Value {
        let all = self.required.parallelism(self.job, vertex).max(0);
        let finished = i64::try_from(vertex.finished_subtasks.len()).unwrap_or(i64::MAX).min(all);
        json!({ "RUNNING": all - finished, "FINISHED": finished })
    }

    /// Returns the response of `/jobs/:id/vertices/:id`.
    pub(crate) fn vertex_details(&self, vertex: &Vertex) -> Value {
        let subtask = |index: u32| {
            let is_finished = vertex.finished_subtasks.contains(&index);
            json!({ "subtask": index, "status": if is_finished { "FINISHED" } else { "RUNNING" }, "attempt": 0 })
        };
        let parallelism = count(self.required.parallelism(self.job, vertex));
        let subtasks: Vec<Value> = (0..parallelism).map(subtask).collect();
        json!({ "id": vertex.id, "name": vertex.name, "parallelism": parallelism, "now": self.now_ms, "subtasks": subtasks })
    }

    fn node(&self, vertex: &Vertex) -> Value {
        let mut node = json!({
            "id": vertex.id, "parallelism": self.required.parallelism(self.job, vertex), "operator": "",
            "operator_strategy": "", "description": vertex.name, "optimizer_properties": {},
        });
        if !vertex.inputs.is_empty() {
            let inputs = vertex.inputs.iter().enumerate().map(|(number, input)| {
                let strategy = input.ship_strategy.as_deref().unwrap_or("HASH");
                json!({ "num": number, "id": input.id, "ship_strategy": strategy, "exchange": "pipelined_bounded" })
            });
            node["inputs"] = inputs.collect();
        }
        node
    }

    /// Returns the response of `/jobs/:id/checkpoints`; [`None`] is "not found".
    pub(crate) fn checkpoints(&self) -> Option<Value> {
        let restored = self.restart_loop().map_or(0, |restarting| restarting.restarts);
        match &self.job.checkpoints.0 {
            Value::String(word) if word == "none" => {
                let counts =
                    json!({ "restored": 0, "total": 0, "in_progress": 0, "completed": 0, "failed": 0 });
                let empty = json!({ "counts": counts, "summary": {}, "latest": {}, "history": [] });
                (self.version >= Version::CHECKPOINTS_WITHOUT_CHECKPOINTING).then_some(empty)
            }
            Value::String(_) => Some(json!({
                "counts": { "restored": restored, "total": 5, "in_progress": 0, "completed": 5, "failed": 0 },
                "summary": {}, "history": [],
                "latest": { "savepoint": null, "failed": null, "restored": null, "completed": {
                    "@class": "completed", "id": 5, "status": "COMPLETED", "is_savepoint": false,
                    "trigger_timestamp": 1, "latest_ack_timestamp": self.now_ms, "checkpointed_size": 100,
                    "state_size": 100_000, "end_to_end_duration": 50, "external_path": "file:/x", "discarded": false,
                } },
            })),
            answer => Some(answer.clone()),
        }
    }

    /// Returns the response of `/jobs/:id/checkpoints/config`; [`None`] is "not found".
    pub(crate) fn checkpoint_settings(&self) -> Option<Value> {
        let is_off = self.job.checkpoints.0 == json!("none");
        if is_off && self.version < Version::CHECKPOINTS_WITHOUT_CHECKPOINTING {
            return None;
        }
        // Flink's value for no interval.
        let interval_ms =
            if is_off { i64::MAX.cast_unsigned() } else { self.job.checkpoint_interval_ms.unwrap_or(30_000) };
        let storage = self.job.checkpoint_storage.as_deref().unwrap_or("FileSystemCheckpointStorage");
        Some(json!({
            "mode": "exactly_once", "interval": interval_ms, "timeout": 600_000, "min_pause": 0, "max_concurrent": 1,
            "externalization": { "enabled": false, "delete_on_cancellation": true }, "state_backend": "RocksDBStateBackend",
            "checkpoint_storage": storage, "unaligned_checkpoints": false, "tolerable_failed_checkpoints": 0,
        }))
    }

    /// Returns the response of `/jobs/:id/exceptions`: the failures of a restart loop, newest first.
    pub(crate) fn exceptions(&self, most: usize) -> Value {
        let Some(restarting) = self.restart_loop() else { return exceptions(&[]) };
        let is_down = self.state() == "RESTARTING";
        let failure = restarting.failure;
        let first_s = restarting.restarted_s - f64::from(restarting.restarts) * failure.every_s;
        let entry = |number: u32| {
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a test")]
            let at_ms =
                self.started_ms + ((first_s + (f64::from(number) + 0.5) * failure.every_s) * 1000.0) as i64;
            let name = failure.stacktrace.split(':').next().unwrap_or_default();
            json!({ "exceptionName": name, "stacktrace": failure.stacktrace, "timestamp": at_ms, "taskName": null })
        };
        let entries: Vec<Value> =
            (0..restarting.restarts + u32::from(is_down)).rev().take(most).map(entry).collect();
        exceptions(&entries)
    }
}

/// Returns the response of `/jobs/:id/checkpoints/:triggerid`, this long after the trigger.
pub(crate) fn asked_checkpoint(job: &Job, age_s: f64) -> Value {
    if age_s < job.checkpoint_takes_s {
        return json!({ "status": { "id": "IN_PROGRESS" }, "operation": null });
    }
    let failure = job.checkpoint_fails.as_ref().map(|cause| {
        json!({ "class": "java.lang.Exception", "stack-trace": format!("java.lang.Exception: {cause}"), "serialized-throwable": "" })
    });
    json!({ "status": { "id": "COMPLETED" }, "operation": { "checkpointId": 6, "failureCause": failure } })
}

fn exceptions(entries: &[Value]) -> Value {
    json!({
        "root-exception": null, "timestamp": null, "all-exceptions": [], "truncated": false,
        "exceptionHistory": { "entries": entries, "truncated": false },
    })
}
