//! Writes Whisper files for tests, from the format's description alone: it shares no code with the reader.

use std::collections::BTreeMap;

/// One archive, with its writes in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Archive {
    pub(crate) step: u32,
    pub(crate) points: u32,
    /// Times are multiples of the step. The first one determines the slots of all others.
    pub(crate) writes: Vec<(u32, f64)>,
}

impl Archive {
    pub(crate) fn new(step: u32, points: u32, writes: &[(u32, f64)]) -> Self {
        Self { step, points, writes: writes.to_vec() }
    }

    /// The slot of a time: its distance from the first write's, modulo the number of slots.
    fn slot(&self, time: u32) -> usize {
        let base = self.writes.first().map_or(0, |(time, _)| *time);
        let distance = (i64::from(time) - i64::from(base)) / i64::from(self.step);
        usize::try_from(distance.rem_euclid(i64::from(self.points))).unwrap()
    }

    /// The final content: the newest write of each slot, at that write's time.
    pub(crate) fn content(&self) -> BTreeMap<i64, f64> {
        let mut slots = BTreeMap::new();
        for (time, value) in &self.writes {
            slots.insert(self.slot(*time), (i64::from(*time), *value));
        }
        slots.into_values().collect()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.points as usize * 12];
        for (time, value) in &self.writes {
            let at = self.slot(*time) * 12;
            bytes[at..at + 4].copy_from_slice(&time.to_be_bytes());
            bytes[at + 4..at + 12].copy_from_slice(&value.to_be_bytes());
        }
        bytes
    }
}

/// A complete file: aggregation by average, half of a coarse point's fine ones needed.
pub(crate) fn file(archives: &[Archive]) -> Vec<u8> {
    let longest = archives.iter().map(|archive| archive.step * archive.points).max().unwrap_or(0);
    let count = u32::try_from(archives.len()).unwrap();
    let mut bytes = [1, longest, 0.5_f32.to_bits(), count].map(u32::to_be_bytes).concat();
    let mut offset = 16 + 12 * count;
    for archive in archives {
        bytes.extend([offset, archive.step, archive.points].map(u32::to_be_bytes).concat());
        offset += 12 * archive.points;
    }
    for archive in archives {
        bytes.extend(archive.bytes());
    }
    bytes
}
