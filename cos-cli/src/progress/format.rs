//! Numbers in the words of the display: durations, byte counts, amounts of things.

use std::fmt::{self, Display};
use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A duration in whole seconds, its two greatest units: `4s`, `2m04s`, `1h05m`, `2d03h`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coarse(pub(super) Duration);

impl Display for Coarse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let text = match seconds {
            0..MINUTE => format!("{seconds}s"),
            MINUTE..HOUR => format!("{}m{:02}s", seconds / MINUTE, seconds % MINUTE),
            HOUR..DAY => format!("{}h{:02}m", seconds / HOUR, seconds % HOUR / MINUTE),
            _ => format!("{}d{:02}h", seconds / DAY, seconds % DAY / HOUR),
        };
        f.pad(&text)
    }
}

/// As [`Coarse`], with tenths below a minute: `12.4s`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fine(pub(super) Duration);

impl Display for Fine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.as_millis() / 100;
        if tenths >= u128::from(MINUTE) * 10 {
            return Coarse(self.0).fmt(f);
        }
        f.pad(&format!("{}.{}s", tenths / 10, tenths % 10))
    }
}

/// A number of bytes, three digits: `17 B`, `1.4 MB`, `10 GB`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes(pub(super) u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
        let mut unit = 0;
        let mut scale = 1;
        while self.0 / scale >= 1000 {
            scale *= 1000;
            unit += 1;
        }
        let whole = self.0 / scale;
        let tenth = self.0 % scale * 10 / scale;
        if whole < 10 && tenth > 0 {
            write!(f, "{whole}.{tenth} {}", UNITS[unit])
        } else {
            write!(f, "{whole} {}", UNITS[unit])
        }
    }
}

/// So many of something: `1 job`, `2 jobs`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amount(pub(super) u64, pub(super) &'static str);

impl Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, noun) = self;
        match (number, noun.ends_with('s') || noun.ends_with("sh")) {
            (1, _) => write!(f, "1 {noun}"),
            (_, true) => write!(f, "{number} {noun}es"),
            (_, false) => write!(f, "{number} {noun}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn durations_have_two_units() {
        let cases = [
            (0.0, "0s", "0.0s"),
            (12.49, "12s", "12.4s"),
            (59.99, "59s", "59.9s"),
            (60.0, "1m00s", "1m00s"),
            (271.0, "4m31s", "4m31s"),
            (3900.0, "1h05m", "1h05m"),
            (183_600.0, "2d03h", "2d03h"),
        ];
        for (time, coarse, fine) in cases {
            assert_eq!(Coarse(seconds(time)).to_string(), coarse);
            assert_eq!(Fine(seconds(time)).to_string(), fine);
        }
        assert_eq!(format!("{:>7}", Fine(seconds(12.4))), "  12.4s");
    }

    #[test]
    fn bytes_have_two_or_three_digits() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1_400_000, "1.4 MB"),
            (10_000_000_000, "10 GB"),
            (2_000, "2 kB"),
            (u64::MAX, "18 EB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn amounts_agree_with_their_nouns() {
        assert_eq!(Amount(1, "job").to_string(), "1 job");
        assert_eq!(Amount(0, "job").to_string(), "0 jobs");
        assert_eq!(Amount(2, "process").to_string(), "2 processes");
    }
}
