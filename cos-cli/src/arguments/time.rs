//! Durations and time limits as they are written on the command line.

use std::str::FromStr;
use std::time::Duration;

/// How long a job may take, or from when on it counts as slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeLimit {
    /// No limit.
    Never,
    /// This long.
    After(Duration),
    /// This many percent of the median run time of the finished jobs; 300 is three times as long.
    PercentOfMedian(u32),
}

/// Why a duration or a time limit was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseTimeError {
    /// There is no number where one belongs, or an unknown unit behind it.
    #[error("expected a duration such as 90s, 1.5m, 1h30m or 90 (seconds)")]
    Malformed,
    /// A limit of nothing ends every job before it starts.
    #[error("the limit must be longer than nothing; `never` means no limit")]
    Zero,
    /// More than a process can wait for.
    #[error("that is longer than a hundred years")]
    TooLong,
}

/// The longest duration that is accepted: sums of it with a clock's reading never overflow.
const LONGEST_SECONDS: f64 = 100.0 * 365.0 * 86_400.0;

/// Reads `90`, `0.5`, `90s`, `1.5m`, `1h30m`, `2d` or `250ms`; a bare number is seconds.
///
/// # Errors
///
/// When the text is no such duration, or one longer than a hundred years.
pub fn parse_duration(text: &str) -> Result<Duration, ParseTimeError> {
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(ParseTimeError::Malformed);
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| ParseTimeError::Malformed)?;
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let scale = match unit {
            "" if tail.is_empty() && digits == text.trim().len() => 1.0,
            "ms" => 0.001,
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(ParseTimeError::Malformed),
        };
        seconds += number * scale;
        rest = tail;
    }
    if seconds > LONGEST_SECONDS {
        return Err(ParseTimeError::TooLong);
    }
    Ok(Duration::from_secs_f64(seconds))
}

impl FromStr for TimeLimit {
    type Err = ParseTimeError;

    /// Reads `never`, a duration, or a percentage of the median such as `300%`.
    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        if text == "never" {
            return Ok(Self::Never);
        }
        let limit = match text.strip_suffix('%') {
            Some(percent) => {
                Self::PercentOfMedian(percent.parse().map_err(|_| ParseTimeError::Malformed)?)
            }
            None => Self::After(parse_duration(text)?),
        };
        match limit {
            Self::PercentOfMedian(0) | Self::After(Duration::ZERO) => Err(ParseTimeError::Zero),
            limit => Ok(limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_gnu_and_people_write_them() {
        let millis = |text| parse_duration(text).map(|d| d.as_millis());
        assert_eq!(millis("90"), Ok(90_000));
        assert_eq!(millis("0.25"), Ok(250));
        assert_eq!(millis("90s"), Ok(90_000));
        assert_eq!(millis("1.5m"), Ok(90_000));
        assert_eq!(millis("1h30m"), Ok(5_400_000));
        assert_eq!(millis("2d"), Ok(172_800_000));
        assert_eq!(millis("250ms"), Ok(250));
        for wrong in [
            "", "s", "1x", "1m30", "-1", "1e99", ".", "inf", "nan", "1 m",
        ] {
            assert_eq!(millis(wrong), Err(ParseTimeError::Malformed), "{wrong}");
        }
        assert_eq!(millis("99999999999d"), Err(ParseTimeError::TooLong));
    }

    #[test]
    fn a_limit_is_never_a_duration_or_a_share_of_the_median() {
        assert_eq!("never".parse(), Ok(TimeLimit::Never));
        assert_eq!("90s".parse(), Ok(TimeLimit::After(Duration::from_secs(90))));
        assert_eq!("300%".parse(), Ok(TimeLimit::PercentOfMedian(300)));
        assert_eq!("0".parse::<TimeLimit>(), Err(ParseTimeError::Zero));
        assert_eq!("0%".parse::<TimeLimit>(), Err(ParseTimeError::Zero));
        assert_eq!("x%".parse::<TimeLimit>(), Err(ParseTimeError::Malformed));
    }
}
