//! The counters of the last minutes, one reading per second: the only input of a policy.

/// Retention of readings, in seconds: longer than any epoch.
pub const KEPT_S: usize = 1024;

/// The counters and gauges of one operator after a second. Counters grow from the start of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reading {
    /// Records handled.
    pub records_in: f64,
    /// Records emitted, summed over all edges.
    pub records_out: f64,
    /// Sources: records that have arrived upstream of the source.
    pub arrived: f64,
    /// Reported busy time of the fullest subtask, in seconds.
    pub busy_fullest_s: f64,
    /// Mean reported busy time of a subtask, in seconds.
    pub busy_mean_s: f64,
    /// Back-pressured time, in seconds.
    pub backpressured_s: f64,
    /// Sum over all seconds of a record's waiting time before it is handled, in seconds.
    pub waited_s: f64,
    /// Gauge: waiting records, upstream of a source or in an operator's buffers.
    pub pending: f64,
}

/// The counters of one partition of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PartitionReading {
    /// Records read, including reprocessed ones.
    pub records: f64,
    /// Gauge: waiting records.
    pub pending: f64,
}

/// One second of the job as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct JobReading {
    /// Age of the oldest record in the job or upstream of it, in seconds.
    pub latency_s: f64,
    /// Sum of the latency over all seconds so far.
    pub latency_sum_s: f64,
    /// A metrics fault: all readings are 0.
    pub is_gap: bool,
    /// Each subtask has reported: no fault, and the tasks have run for some seconds.
    pub is_complete: bool,
}

/// Readings by second, in a ring buffer.
#[derive(Debug, Clone)]
pub(crate) struct History {
    operators: usize,
    partitions: usize,
    readings: Vec<Reading>,
    of_partitions: Vec<PartitionReading>,
    of_job: Vec<JobReading>,
}

impl History {
    pub(crate) fn new(operators: usize, partitions: usize) -> Self {
        Self {
            operators,
            partitions,
            readings: vec![Reading::default(); operators * KEPT_S],
            of_partitions: vec![PartitionReading::default(); partitions * KEPT_S],
            of_job: vec![JobReading { is_complete: true, ..JobReading::default() }; KEPT_S],
        }
    }

    pub(crate) fn reading(&self, operator: usize, second: usize) -> &Reading {
        &self.readings[second % KEPT_S * self.operators + operator]
    }

    pub(crate) fn partition(&self, partition: usize, second: usize) -> &PartitionReading {
        &self.of_partitions[second % KEPT_S * self.partitions + partition]
    }

    pub(crate) fn job(&self, second: usize) -> &JobReading {
        &self.of_job[second % KEPT_S]
    }

    pub(crate) fn put(&mut self, operator: usize, second: usize, reading: Reading) {
        self.readings[second % KEPT_S * self.operators + operator] = reading;
    }

    pub(crate) fn put_partition(&mut self, partition: usize, second: usize, reading: PartitionReading) {
        self.of_partitions[second % KEPT_S * self.partitions + partition] = reading;
    }

    pub(crate) fn put_job(&mut self, second: usize, reading: JobReading) {
        self.of_job[second % KEPT_S] = reading;
    }
}
