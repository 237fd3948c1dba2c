//! How long the rest will take, by how fast jobs ended lately.

use std::time::Duration;

use cos_core::time::Time;

/// How many samples are kept; when there are more, every other one is dropped, so that they span the whole run.
const MAX_SAMPLES: usize = 64;
/// The least time between two samples at the beginning.
const FIRST_INTERVAL: Duration = Duration::from_millis(500);
/// So long a run is observed before anything is said.
const LEAST_SPAN: Duration = Duration::from_secs(2);
/// So many jobs are observed before anything is said.
const LEAST_JOBS: u64 = 3;

/// Remembers how many jobs had ended at which time.
///
/// The rate is taken over the later half of the run: hosts come and go, and what an hour ago was fast says little,
/// while a short window jumps about when jobs are long.
#[derive(Debug, Clone)]
pub(super) struct Estimator {
    samples: Vec<Sample>,
    interval: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Time,
    settled: u64,
}

impl Estimator {
    pub(super) fn new(started: Time) -> Self {
        let first = Sample {
            at: started,
            settled: 0,
        };
        Self {
            samples: vec![first],
            interval: FIRST_INTERVAL,
        }
    }

    /// Notes how many jobs have ended by now.
    pub(super) fn note(&mut self, at: Time, settled: u64) {
        let due = self
            .samples
            .last()
            .is_none_or(|last| at.since(last.at) >= self.interval);
        if !due {
            return;
        }
        self.samples.push(Sample { at, settled });
        if self.samples.len() >= MAX_SAMPLES {
            let mut position = 0;
            self.samples.retain(|_| {
                position += 1;
                position % 2 == 1
            });
            self.interval = self.interval.saturating_mul(2);
        }
    }

    /// How long `remaining` more jobs take; `None` when too little is known.
    pub(super) fn remaining_time(
        &self,
        now: Time,
        settled: u64,
        remaining: u64,
    ) -> Option<Duration> {
        let first = self.samples.first()?;
        let half = now.since(first.at) / 2;
        // A lab warms up while hosts connect; before the run is that old, all of it counts.
        let base = self
            .samples
            .iter()
            .rev()
            .find(|sample| {
                now.since(sample.at) >= half.max(LEAST_SPAN)
                    && settled.saturating_sub(sample.settled) >= LEAST_JOBS
            })
            .or(Some(first))?;
        let span = now.since(base.at);
        let ended = settled.saturating_sub(base.settled);
        if span < LEAST_SPAN || ended < LEAST_JOBS {
            return None;
        }
        let seconds = span.as_secs_f64() * remaining as f64 / ended as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_boot(Duration::from_secs(1000 + seconds))
    }

    #[test]
    fn an_even_rate_is_continued() {
        let mut estimator = Estimator::new(at(0));
        for second in 1..=100 {
            estimator.note(at(second), second * 4);
        }
        let left = estimator.remaining_time(at(100), 400, 600);
        assert_eq!(left.map(|left| left.as_secs()), Some(150));
    }

    #[test]
    fn the_later_half_counts() {
        let mut estimator = Estimator::new(at(0));
        for second in 1..=100 {
            estimator.note(at(second), second);
        }
        let mut settled = 100;
        for second in 101..=400 {
            settled += 10;
            estimator.note(at(second), settled);
        }
        let left = estimator
            .remaining_time(at(400), settled, 1000)
            .expect("an estimate");
        assert!((95..=105).contains(&left.as_secs()), "{left:?}");
    }

    #[test]
    fn too_little_gives_nothing() {
        let mut estimator = Estimator::new(at(0));
        assert_eq!(estimator.remaining_time(at(0), 0, 10), None);
        estimator.note(at(60), 2);
        assert_eq!(estimator.remaining_time(at(60), 2, 10), None);
        assert_eq!(estimator.remaining_time(at(1), 100, 10), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut estimator = Estimator::new(at(0));
        for second in 1..=100_000 {
            estimator.note(at(second), second);
        }
        assert!(estimator.samples.len() <= MAX_SAMPLES);
        let left = estimator.remaining_time(at(100_000), 100_000, 500);
        assert_eq!(left.map(|left| left.as_secs()), Some(500));
    }
}
