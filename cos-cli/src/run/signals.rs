//! What signals ask of a run: first finish, then end, then leave.
//!
//! ```text
//!  Go --SIGINT, SIGHUP--> Finish --SIGINT--> End --SIGINT--> Leave
//!   `--------SIGTERM---------------------------^
//! ```
//!
//! A signal that was ignored when the run was started stays ignored: `nohup` means that a hang-up is to change nothing,
//! and a shell without job control ignores SIGINT for what it starts in the background.

use std::io;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::watch;

use crate::exit_code;

/// How urgently the run is to end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) enum Urgency {
    /// It goes on.
    #[default]
    Go,
    /// No new jobs; running ones finish.
    Finish,
    /// Running jobs are ended, hosts are cleaned.
    End,
    /// At once, leaving the hosts to clean themselves when they see the end of their channels.
    Leave,
}

/// What signals have asked for so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Demand {
    /// How urgently.
    pub(crate) urgency: Urgency,
    /// The signal that first asked for an end; its number decides the exit code.
    pub(crate) first: Option<i32>,
}

impl Demand {
    /// What a further signal makes of it.
    #[must_use]
    pub(crate) fn after(self, signal: i32) -> Self {
        let urgency = match (signal, self.urgency) {
            (SIGHUP, Urgency::Go) => Urgency::Finish,
            (SIGHUP, other) => other,
            (SIGTERM, Urgency::Go | Urgency::Finish) => Urgency::End,
            (SIGTERM, other) => other,
            (_, Urgency::Go) => Urgency::Finish,
            (_, Urgency::Finish) => Urgency::End,
            (_, Urgency::End | Urgency::Leave) => Urgency::Leave,
        };
        Self {
            urgency,
            first: self.first.or(Some(signal)),
        }
    }
}

/// How long a run that is to be left may take for it, before the process ends whatever it is waiting for: a blocked
/// standard output blocks everything but the thread of the signals.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);

/// Starts to listen. The receiver sees every change; signals that come while nobody looks are not lost.
///
/// # Errors
/// When the handlers cannot be installed or the system has no thread left.
pub(crate) fn listen() -> io::Result<watch::Receiver<Demand>> {
    let ignored = Ignored::by_this_process();
    let heeded = [SIGINT, SIGTERM, SIGHUP];
    let mut signals = Signals::new(heeded.iter().filter(|signal| !ignored.has(**signal)))?;
    let (sender, receiver) = watch::channel(Demand::default());
    thread::Builder::new()
        .name("cos-signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                sender.send_modify(|demand| *demand = demand.after(signal));
                let Demand { urgency, first } = *sender.borrow();
                if urgency == Urgency::Leave {
                    thread::sleep(LEAVE_LIMIT);
                    std::process::exit(exit_code::of_signal(first.unwrap_or(signal)).into());
                }
            }
        })?;
    Ok(receiver)
}

/// The signals that a process ignores, one bit for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Ignored(u64);

impl Ignored {
    /// Those of this process; none where `/proc` does not tell.
    fn by_this_process() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self::parse(&status).unwrap_or_default()
    }

    fn parse(status: &str) -> Option<Self> {
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(mask.trim(), 16).ok().map(Self)
    }

    fn has(self, signal: i32) -> bool {
        let bit = signal
            .checked_sub(1)
            .and_then(|bit| u32::try_from(bit).ok());
        bit.and_then(|bit| self.0.checked_shr(bit)).unwrap_or(0) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        let ignored = Ignored::parse("SigBlk:\t0\nSigIgn:\t0000000000004001\n").unwrap();
        assert!(ignored.has(SIGHUP) && ignored.has(SIGTERM));
        assert!(!ignored.has(SIGINT) && !ignored.has(0) && !ignored.has(100));
        assert_eq!(Ignored::parse("SigCgt:\t1\n"), None);
    }

    fn demanded(signals: &[i32]) -> Urgency {
        signals
            .iter()
            .fold(Demand::default(), |demand, signal| demand.after(*signal))
            .urgency
    }

    #[test]
    fn each_interrupt_is_more_urgent() {
        assert_eq!(demanded(&[SIGINT]), Urgency::Finish);
        assert_eq!(demanded(&[SIGINT, SIGINT]), Urgency::End);
        assert_eq!(demanded(&[SIGINT, SIGINT, SIGINT]), Urgency::Leave);
    }

    #[test]
    fn termination_is_the_second_interrupt_and_hang_up_the_first() {
        assert_eq!(demanded(&[SIGTERM]), Urgency::End);
        assert_eq!(demanded(&[SIGTERM, SIGTERM, SIGHUP]), Urgency::End);
        assert_eq!(demanded(&[SIGTERM, SIGINT]), Urgency::Leave);
        assert_eq!(demanded(&[SIGHUP, SIGHUP]), Urgency::Finish);
        assert_eq!(demanded(&[SIGHUP, SIGTERM]), Urgency::End);
    }

    #[test]
    fn the_first_signal_decides_the_exit_code() {
        let demand = Demand::default().after(SIGTERM).after(SIGINT);
        assert_eq!(demand.first, Some(SIGTERM));
    }
}
