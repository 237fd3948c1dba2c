//! How many slots a host gives.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The most slots that one host may give.
pub const MAX_SLOTS: u32 = 4096;

/// The highest percentage of a host's cores, ten jobs per core.
const MAX_PERCENT: u32 = 1000;

/// How many slots a host gives: the value of `slots` and of `--slots`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlotCount {
    /// So many: `8`.
    Number(u32),
    /// As many as the host has cores: `"cores"`.
    #[default]
    Cores,
    /// So many fewer than the host has cores, at least one: `"cores-1"`.
    CoresMinus(u32),
    /// So many percent of the host's cores, rounded to the nearest, at least one: `"50%"`.
    Percent(u32),
}

impl SlotCount {
    /// A fixed number of slots.
    ///
    /// # Errors
    ///
    /// [`SlotCountError`] when it is 0 or more than [`MAX_SLOTS`].
    pub fn number(slots: u32) -> Result<Self, SlotCountError> {
        match slots {
            0 => Err(SlotCountError::Zero),
            1..=MAX_SLOTS => Ok(Self::Number(slots)),
            _ => Err(SlotCountError::TooMany),
        }
    }

    /// The number of slots on a host with `cores` cores: 1 to [`MAX_SLOTS`].
    pub fn on(self, cores: u32) -> u32 {
        let slots = match self {
            Self::Number(slots) => slots,
            Self::Cores => cores,
            Self::CoresMinus(fewer) => cores.saturating_sub(fewer),
            Self::Percent(percent) => {
                let hundredths = u64::from(cores) * u64::from(percent);
                u32::try_from((hundredths + 50) / 100).unwrap_or(MAX_SLOTS)
            }
        };
        slots.clamp(1, MAX_SLOTS)
    }
}

impl FromStr for SlotCount {
    type Err = SlotCountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = |text: &str| {
            let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // What has too many digits for a u32 is a number all the same, and too large.
            all.then(|| text.parse().unwrap_or(u32::MAX))
        };
        if let Some(slots) = digits(text) {
            return Self::number(slots);
        }
        if text == "cores" {
            return Ok(Self::Cores);
        }
        if let Some(fewer) = text.strip_prefix("cores-").and_then(digits) {
            return if fewer < MAX_SLOTS {
                Ok(Self::CoresMinus(fewer))
            } else {
                Err(SlotCountError::TooMany)
            };
        }
        if let Some(percent) = text.strip_suffix('%').and_then(digits) {
            return match percent {
                0 => Err(SlotCountError::Zero),
                1..=MAX_PERCENT => Ok(Self::Percent(percent)),
                _ => Err(SlotCountError::Percent),
            };
        }
        Err(SlotCountError::Form)
    }
}

impl fmt::Display for SlotCount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(slots) => write!(formatter, "{slots}"),
            Self::Cores => formatter.write_str("cores"),
            Self::CoresMinus(fewer) => write!(formatter, "cores-{fewer}"),
            Self::Percent(percent) => write!(formatter, "{percent}%"),
        }
    }
}

/// Why a text is no number of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SlotCountError {
    /// None of the forms.
    #[error("a number, \"cores\", \"cores-1\" or \"50%\"")]
    Form,
    /// No slot at all.
    #[error("at least one slot; a host is left out by `enabled = false`")]
    Zero,
    /// More than [`MAX_SLOTS`].
    #[error("at most {MAX_SLOTS} slots")]
    TooMany,
    /// More than ten jobs per core.
    #[error("at most {MAX_PERCENT}%")]
    Percent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_shows_every_form() {
        for text in ["1", "32", "cores", "cores-1", "50%", "200%"] {
            assert_eq!(
                text.parse::<SlotCount>().map(|slots| slots.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn refuses_everything_else() {
        let error = |text: &str| text.parse::<SlotCount>().unwrap_err();
        for text in [
            "", "core", "cores-", "cores+1", "-1", "+2", "1.5", "%", "50 %", "four",
        ] {
            assert_eq!(error(text), SlotCountError::Form, "{text}");
        }
        assert_eq!(error("0"), SlotCountError::Zero);
        assert_eq!(error("0%"), SlotCountError::Zero);
        assert_eq!(error("4097"), SlotCountError::TooMany);
        assert_eq!(error("99999999999999999999"), SlotCountError::TooMany);
        assert_eq!(error("1001%"), SlotCountError::Percent);
    }

    #[test]
    fn every_host_gives_at_least_one_slot() {
        assert_eq!(SlotCount::Number(3).on(8), 3);
        assert_eq!(SlotCount::Cores.on(8), 8);
        assert_eq!(SlotCount::Cores.on(0), 1);
        assert_eq!(SlotCount::CoresMinus(1).on(8), 7);
        assert_eq!(SlotCount::CoresMinus(4).on(2), 1);
        assert_eq!(SlotCount::Percent(50).on(8), 4);
        assert_eq!(SlotCount::Percent(50).on(3), 2);
        assert_eq!(SlotCount::Percent(10).on(2), 1);
        assert_eq!(SlotCount::Percent(1000).on(u32::MAX), MAX_SLOTS);
    }
}
