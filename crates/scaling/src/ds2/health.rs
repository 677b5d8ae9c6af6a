//! Conditions under which rates are unreliable, because the task managers are busy with something else.

use crate::Snapshot;

/// Task managers that collect garbage for a larger share of their time slow every operator down.
const GC_HIGH: f64 = 0.3;
/// From this share on garbage collection is named as a cause.
const GC_RAISED: f64 = 0.1;
/// From this load on a host's processors are taken to be the limit.
const CPU_HIGH: f64 = 0.9;

/// Mean share of the time that task managers collect garbage, 0 to 1, where all tell it.
fn gc_share(snapshot: &Snapshot) -> Option<f64> {
    mean(snapshot, |tm| Some(tm.gc_ms_per_s? / 1000.0))
}

fn mean(snapshot: &Snapshot, figure: impl Fn(&crate::TaskManager) -> Option<f64>) -> Option<f64> {
    let shares: Option<Vec<f64>> = snapshot.task_managers.iter().map(figure).collect();
    let shares = shares.filter(|shares| !shares.is_empty())?;
    Some(shares.iter().sum::<f64>() / f64::from(u32::try_from(shares.len()).unwrap_or(u32::MAX)))
}

/// Why no rate of this snapshot may be used, if that is so.
pub(super) fn unusable(snapshot: &Snapshot) -> Option<String> {
    let share = gc_share(snapshot).filter(|share| *share > GC_HIGH)?;
    Some(format!(
        "the task managers spend {:.0} % of their time in garbage collection, which distorts rates and gets worse with more subtasks; give them more memory",
        share * 100.0
    ))
}

/// The likeliest cause why a wider operator carries no more, in words.
pub(super) fn cause_of_no_effect(snapshot: &Snapshot, is_saturated: bool) -> String {
    let percent = |share: f64| (share * 100.0).round();
    if let Some(share) = gc_share(snapshot).filter(|share| *share > GC_RAISED) {
        return format!(
            "the task managers spend {} % of their time in garbage collection: give them more memory",
            percent(share)
        );
    }
    if let Some(load) = mean(snapshot, |tm| tm.cpu_load).filter(|load| *load > CPU_HIGH) {
        return format!(
            "the processors of the hosts are {} % busy: add task managers on other hosts",
            percent(load)
        );
    }
    if is_saturated {
        return "all its subtasks are busy, so they share a limit outside the job, such as an external system: raise that limit"
            .to_owned();
    }
    "the metrics do not show the cause".to_owned()
}
