//! The bounded rings of a job's points and decisions: a bounded number of entries, and of details that grow with the number of operators.

use std::collections::VecDeque;
use std::sync::Arc;

/// Number of operators that the kept decisions have together, those of 200 decisions on 50 operators. Of older ones remain the plan and
/// its reasons, and the journal has them all: in a large job the reports of all operators have a megabyte.
pub(super) const REPORTED_OPERATORS: usize = 10_000;
/// Number of busy shares that the points of the time line have together, those of 100 operators in a day of 1,440 minutes.
pub(super) const BUSY_SHARES: usize = 144_000;

/// Appends to a bounded ring. An entry of the same epoch as the last entry replaces it.
pub(super) fn push<T>(ring: &mut VecDeque<T>, entry: T, most: usize, epoch: impl Fn(&T) -> u64) {
    if ring.back().is_some_and(|last| epoch(last) == epoch(&entry)) {
        ring.pop_back();
    }
    while ring.len() >= most.max(1) {
        ring.pop_front();
    }
    ring.push_back(entry);
}

/// Leaves the details of the newest entry, and of so many before it as have no more than `most` together.
pub(super) fn forget_details<'a, T: Clone + 'a>(
    newest_first: impl Iterator<Item = &'a mut Arc<T>>,
    most: usize,
    details: impl Fn(&T) -> usize,
    forget: impl Fn(&mut T),
) {
    let mut kept = 0;
    for (age, entry) in newest_first.enumerate() {
        let own = details(entry);
        kept += own;
        if age > 0 && own > 0 && kept > most {
            forget(Arc::make_mut(entry));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an entry of the same epoch replaces the newest, and the oldest go.
    #[test]
    fn a_ring_is_bounded() {
        let mut ring = VecDeque::new();
        for entry in [(1, 'a'), (2, 'b'), (2, 'c'), (3, 'd')] {
            push(&mut ring, entry, 2, |entry| entry.0);
        }
        assert_eq!(ring, [(2, 'c'), (3, 'd')]);
    }

    /// Goal: only the newest details are kept, those of the newest entry in any case, and no entry is lost.
    #[test]
    fn old_details_are_forgotten() {
        let kept = |lengths: &[usize], most: usize| -> Vec<usize> {
            let mut ring: VecDeque<Arc<Vec<u8>>> =
                lengths.iter().map(|length| Arc::new(vec![0; *length])).collect();
            forget_details(ring.iter_mut().rev(), most, Vec::len, Vec::clear);
            ring.iter().map(|details| details.len()).collect()
        };
        assert_eq!(kept(&[3, 3, 0, 3, 3], 9), [0, 3, 0, 3, 3]);
        assert_eq!(kept(&[1, 20], 9), [0, 20]);
        assert_eq!(kept(&[0, 3, 3, 3], 9), [0, 3, 3, 3]);
        assert_eq!(kept(&[], 9), [0; 0]);
    }
}
