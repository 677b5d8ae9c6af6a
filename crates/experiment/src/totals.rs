//! Counter totals over several executions of a job, each of which begins at 0.

/// A total over several executions. Misses what was counted between the last reading of an execution and its end.
#[derive(Debug)]
pub(crate) struct Total<L> {
    life: Option<L>,
    of_earlier_lives: f64,
    of_this_life: Option<f64>,
}

impl<L> Default for Total<L> {
    fn default() -> Self {
        Self { life: None, of_earlier_lives: 0.0, of_this_life: None }
    }
}

impl<L: PartialEq + Clone> Total<L> {
    /// Adds a reading of this execution and returns the total so far; `None` as long as nothing was read.
    pub(crate) fn note(&mut self, life: &L, reading: Option<f64>) -> Option<f64> {
        if self.life.as_ref() != Some(life) {
            self.of_earlier_lives += self.of_this_life.take().unwrap_or(0.0);
            self.life = Some(life.clone());
        }
        self.of_this_life = reading.or(self.of_this_life);
        let is_known = self.of_this_life.is_some() || self.of_earlier_lives > 0.0;
        is_known.then(|| self.of_earlier_lives + self.of_this_life.unwrap_or(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a total never falls when a job restarts, and is unknown until the first reading.
    #[test]
    fn totals_go_on_over_restarts() {
        let mut total = Total::default();
        let readings = [(1, None), (1, Some(5.0)), (1, Some(9.0)), (2, None), (2, Some(3.0)), (2, None)];
        let totals: Vec<_> = readings.iter().map(|(life, reading)| total.note(life, *reading)).collect();
        assert_eq!(totals, [None, Some(5.0), Some(9.0), Some(9.0), Some(12.0), Some(12.0)]);
    }
}
