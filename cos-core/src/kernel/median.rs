//! A median of durations in bounded memory: counts in buckets of equal ratio.

use std::time::Duration;

/// Buckets per factor of two: neighbouring buckets differ by 9 percent, which is far closer than any decision taken
/// on the median.
const PER_OCTAVE: u32 = 8;
/// Octaves above 1 ms: up to 2^31 ms, 24 days; what is longer is counted with the last bucket.
const OCTAVES: u32 = 31;
const BUCKETS: usize = (PER_OCTAVE * OCTAVES) as usize + 1;

/// A streaming median. A sample costs at most one walk over the buckets, however many samples there were.
#[derive(Clone, Debug)]
pub(super) struct Median {
    counts: Box<[u64; BUCKETS]>,
    total: u64,
    /// The bucket of the median.
    middle: usize,
    /// How many samples lie in buckets below it.
    below: u64,
}

impl Default for Median {
    fn default() -> Self {
        Self {
            counts: Box::new([0; BUCKETS]),
            total: 0,
            middle: 0,
            below: 0,
        }
    }
}

impl Median {
    /// Adds a sample.
    pub(super) fn add(&mut self, sample: Duration) {
        let bucket = bucket(sample);
        self.counts[bucket] += 1;
        self.total += 1;
        if bucket < self.middle {
            self.below += 1;
        }
        // The median is the sample number `total / 2` in order, counted from 0.
        let rank = self.total / 2;
        while self.below > rank {
            self.middle -= 1;
            self.below -= self.counts[self.middle];
        }
        while self.below + self.counts[self.middle] <= rank {
            self.below += self.counts[self.middle];
            self.middle += 1;
        }
    }

    /// How many samples there are.
    pub(super) fn samples(&self) -> u64 {
        self.total
    }

    /// The median, to within 9 percent (and 1 ms); `None` without a sample.
    pub(super) fn value(&self) -> Option<Duration> {
        (self.total > 0).then(|| lower_bound(self.middle))
    }
}

fn bucket(sample: Duration) -> usize {
    let milliseconds = sample.as_secs_f64() * 1e3;
    if milliseconds < 1.0 {
        return 0;
    }
    // A float-to-integer cast saturates, so a sample of any length has a bucket.
    let bucket = (milliseconds.log2() * f64::from(PER_OCTAVE)) as usize + 1;
    bucket.min(BUCKETS - 1)
}

fn lower_bound(bucket: usize) -> Duration {
    match bucket.checked_sub(1) {
        None => Duration::ZERO,
        Some(step) => Duration::from_secs_f64((step as f64 / f64::from(PER_OCTAVE)).exp2() / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_sorted_list() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut median = Median::default();
        let mut samples = Vec::new();
        for count in 1..2_000 {
            let sample = Duration::from_secs_f64(10_f64.powf(rng.f64() * 6.0 - 3.0));
            samples.push(sample);
            median.add(sample);
            if count % 97 == 0 {
                samples.sort();
                let exact = samples[samples.len() / 2].as_secs_f64();
                let found = median.value().expect("there are samples").as_secs_f64();
                assert!(
                    found <= exact * 1.001 && found >= exact / 1.10,
                    "{found} for {exact} after {count}"
                );
            }
        }
    }

    #[test]
    fn takes_any_duration() {
        let mut median = Median::default();
        assert_eq!(median.value(), None);
        median.add(Duration::ZERO);
        assert_eq!(median.value(), Some(Duration::ZERO));
        median.add(Duration::MAX);
        median.add(Duration::MAX);
        assert!(median.value() > Some(Duration::from_secs(22 * 24 * 3600)));
        assert_eq!(median.samples(), 3);
    }
}
