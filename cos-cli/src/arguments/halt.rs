//! `--halt`: when a run stops early, in GNU parallel's words.

use std::fmt;
use std::str::FromStr;

/// When a run stops before its last job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Halt {
    /// It does not.
    #[default]
    Never,
    /// When enough jobs have ended in this way.
    When {
        /// What becomes of the jobs that run at that moment.
        urgency: HaltUrgency,
        /// Which jobs count.
        event: HaltEvent,
        /// How many of them are enough.
        threshold: HaltThreshold,
    },
}

/// What becomes of the running jobs when the run stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HaltUrgency {
    /// They finish; no new ones start.
    Soon,
    /// They are ended.
    Now,
}

/// Which jobs count for `--halt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HaltEvent {
    /// Those that failed on their last try.
    Fail,
    /// Those that succeeded.
    Success,
    /// All that ended.
    Done,
}

/// How many jobs are enough for `--halt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HaltThreshold {
    /// This many.
    Count(u64),
    /// This many percent of all jobs.
    Percent(u8),
}

impl Halt {
    /// Whether the run has to stop, after this many jobs have failed and succeeded. `total` is the number of all
    /// jobs, `None` while the input has not been read to its end: until then no share of it can be told.
    #[must_use]
    pub fn verdict(self, failed: u64, succeeded: u64, total: Option<u64>) -> Option<HaltUrgency> {
        let Self::When {
            urgency,
            event,
            threshold,
        } = self
        else {
            return None;
        };
        let done = failed.saturating_add(succeeded);
        let counted = match event {
            HaltEvent::Fail => failed,
            HaltEvent::Success => succeeded,
            HaltEvent::Done => done,
        };
        let reached = match threshold {
            HaltThreshold::Count(count) => counted >= count,
            HaltThreshold::Percent(percent) => total.is_some_and(|total| {
                counted > 0 && u128::from(counted) * 100 >= u128::from(total) * u128::from(percent)
            }),
        };
        reached.then_some(urgency)
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::When {
            urgency,
            event,
            threshold,
        } = self
        else {
            return f.write_str("never");
        };
        let urgency = match urgency {
            HaltUrgency::Soon => "soon",
            HaltUrgency::Now => "now",
        };
        let event = match event {
            HaltEvent::Fail => "fail",
            HaltEvent::Success => "success",
            HaltEvent::Done => "done",
        };
        match threshold {
            HaltThreshold::Count(count) => write!(f, "{urgency},{event}={count}"),
            HaltThreshold::Percent(percent) => write!(f, "{urgency},{event}={percent}%"),
        }
    }
}

/// Why a `--halt` was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseHaltError {
    /// Not of GNU's form.
    #[error("expected never, soon,fail=1, now,fail=1, or with success, done, or 10%")]
    Malformed,
    /// A threshold that is reached before the first job.
    #[error("the number must be at least 1, the percentage 1 to 100")]
    Threshold,
}

impl FromStr for Halt {
    type Err = ParseHaltError;

    /// Reads `never`, `soon|now,fail|success|done=N|N%`, and GNU's short forms 0, 1 and 2.
    fn from_str(text: &str) -> Result<Self, ParseHaltError> {
        let (urgency, condition) = match text {
            "never" | "0" => return Ok(Self::Never),
            "1" => (HaltUrgency::Soon, "fail=1"),
            "2" => (HaltUrgency::Now, "fail=1"),
            _ => match text.split_once(',') {
                Some(("soon", condition)) => (HaltUrgency::Soon, condition),
                Some(("now", condition)) => (HaltUrgency::Now, condition),
                _ => return Err(ParseHaltError::Malformed),
            },
        };
        let (event, threshold) = condition.split_once('=').ok_or(ParseHaltError::Malformed)?;
        let event = match event {
            "fail" => HaltEvent::Fail,
            "success" => HaltEvent::Success,
            "done" => HaltEvent::Done,
            _ => return Err(ParseHaltError::Malformed),
        };
        let threshold = match threshold.strip_suffix('%') {
            Some(percent) => match percent.parse().map_err(|_| ParseHaltError::Malformed)? {
                percent @ 1..=100 => HaltThreshold::Percent(percent),
                _ => return Err(ParseHaltError::Threshold),
            },
            None => match threshold.parse().map_err(|_| ParseHaltError::Malformed)? {
                0 => return Err(ParseHaltError::Threshold),
                count => HaltThreshold::Count(count),
            },
        };
        Ok(Self::When {
            urgency,
            event,
            threshold,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halt(text: &str) -> Halt {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn gnus_forms_are_read_and_written_back() {
        for text in [
            "never",
            "soon,fail=1",
            "now,success=3",
            "now,done=50%",
            "soon,fail=100%",
        ] {
            assert_eq!(halt(text).to_string(), text);
        }
        assert_eq!(halt("0"), Halt::Never);
        assert_eq!(halt("1"), halt("soon,fail=1"));
        assert_eq!(halt("2"), halt("now,fail=1"));
        for wrong in [
            "",
            "now",
            "now,fail",
            "later,fail=1",
            "now,fail=x",
            "now,oops=1",
            "3",
        ] {
            assert_eq!(
                wrong.parse::<Halt>(),
                Err(ParseHaltError::Malformed),
                "{wrong}"
            );
        }
        for wrong in ["now,fail=0", "now,fail=0%", "now,fail=101%"] {
            assert_eq!(
                wrong.parse::<Halt>(),
                Err(ParseHaltError::Threshold),
                "{wrong}"
            );
        }
    }

    #[test]
    fn counts_and_percentages_stop_the_run() {
        assert_eq!(Halt::Never.verdict(100, 100, Some(200)), None);
        assert_eq!(halt("soon,fail=2").verdict(1, 50, None), None);
        assert_eq!(
            halt("soon,fail=2").verdict(2, 50, None),
            Some(HaltUrgency::Soon)
        );
        assert_eq!(
            halt("now,success=1").verdict(9, 1, None),
            Some(HaltUrgency::Now)
        );
        assert_eq!(
            halt("now,done=3").verdict(1, 2, None),
            Some(HaltUrgency::Now)
        );
        assert_eq!(
            halt("now,fail=50%").verdict(5, 0, None),
            None,
            "a share of what?"
        );
        assert_eq!(halt("now,fail=50%").verdict(4, 3, Some(10)), None);
        assert_eq!(
            halt("now,fail=50%").verdict(5, 0, Some(10)),
            Some(HaltUrgency::Now)
        );
        assert_eq!(halt("now,fail=1%").verdict(0, 5, Some(10)), None);
    }
}
