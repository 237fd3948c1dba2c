//! When a run that says nothing says that it lives.

use std::time::Duration;

use cos_core::time::Time;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Counts the silence: a sign of life is due after 1, 2, 5 and 10 silent minutes, then at every full hour of silence.
#[derive(Debug, Clone, Copy)]
pub(in crate::progress) struct Heartbeat {
    silent_since: Time,
    given: u32,
}

impl Heartbeat {
    pub(in crate::progress) fn new(now: Time) -> Self {
        Self {
            silent_since: now,
            given: 0,
        }
    }

    /// Something was said: the silence begins anew.
    pub(in crate::progress) fn note_line(&mut self, now: Time) {
        *self = Self::new(now);
    }

    /// Whether a sign of life is due. It counts as given then.
    pub(in crate::progress) fn is_due(&mut self, now: Time) -> bool {
        let silence = now.since(self.silent_since);
        let before = self.given;
        // A client that slept gives one sign of life, not one for each that it missed.
        while silence >= Self::threshold(self.given) {
            self.given += 1;
        }
        self.given > before
    }

    fn threshold(given: u32) -> Duration {
        match given {
            0 => MINUTE,
            1 => 2 * MINUTE,
            2 => 5 * MINUTE,
            3 => 10 * MINUTE,
            more => HOUR.saturating_mul(more - 3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Time {
        Time::from_boot(MINUTE * u32::try_from(minutes).expect("a small number"))
    }

    #[test]
    fn signs_of_life_get_rare() {
        let mut heartbeat = Heartbeat::new(at(0));
        let given: Vec<u64> = (0..200).filter(|m| heartbeat.is_due(at(*m))).collect();
        assert_eq!(given, [1, 2, 5, 10, 60, 120, 180]);
        heartbeat.note_line(at(200));
        assert!(!heartbeat.is_due(at(200)));
        assert!(heartbeat.is_due(at(201)));
    }

    #[test]
    fn a_long_sleep_is_one_sign() {
        let mut heartbeat = Heartbeat::new(at(0));
        assert!(heartbeat.is_due(at(300)));
        assert!(!heartbeat.is_due(at(301)));
    }
}
