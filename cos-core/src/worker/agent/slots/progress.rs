//! What the agent itself knows of the call that runs in a slot, for the day on which the slot can tell nothing more.

use std::time::{Duration, Instant};

use crate::ids::AttemptId;
use crate::job::{CallReport, Stream, StreamTotals, Usage};
use crate::wire::message::OUTPUT_WINDOW;

/// The call that runs, and what those before it have consumed.
#[derive(Debug, Default)]
pub(in crate::worker::agent) struct Progress {
    current: Option<Current>,
    consumed: Usage,
}

#[derive(Debug)]
struct Current {
    attempt: AttemptId,
    began: Instant,
    /// How much more output of it the client takes.
    credit: u64,
    totals: [StreamTotals; 2],
    /// It was asked to stop.
    stopped: bool,
}

impl Progress {
    /// This attempt runs now.
    pub(in crate::worker::agent) fn begin(&mut self, attempt: AttemptId) {
        self.current = Some(Current {
            attempt,
            began: Instant::now(),
            credit: OUTPUT_WINDOW,
            totals: Default::default(),
            stopped: false,
        });
    }

    /// It has ended, having consumed so much.
    pub(in crate::worker::agent) fn end(&mut self, usage: Usage) {
        self.current = None;
        self.consumed.user += usage.user;
        self.consumed.system += usage.system;
    }

    /// The attempt that runs.
    pub(in crate::worker::agent) fn attempt(&self) -> Option<AttemptId> {
        self.current.as_ref().map(|it| it.attempt)
    }

    /// Whether it was asked to stop.
    pub(in crate::worker::agent) fn is_stopped(&self) -> bool {
        self.current.as_ref().is_some_and(|it| it.stopped)
    }

    /// An attempt is asked to stop.
    pub(in crate::worker::agent) fn stop(&mut self, attempt: AttemptId) {
        if let Some(current) = self.of(attempt) {
            current.stopped = true;
        }
    }

    /// The client takes more.
    pub(in crate::worker::agent) fn grant(&mut self, attempt: AttemptId, bytes: u64) {
        if let Some(current) = self.of(attempt) {
            current.credit = current.credit.saturating_add(bytes);
        }
    }

    /// Bytes of its value were sent.
    pub(in crate::worker::agent) fn sent_value(&mut self, attempt: AttemptId, bytes: usize) {
        if let Some(current) = self.of(attempt) {
            current.credit = current.credit.saturating_sub(bytes as u64);
        }
    }

    /// So many bytes were printed: how many of them may be sent.
    pub(in crate::worker::agent) fn printed(
        &mut self,
        attempt: AttemptId,
        stream: Stream,
        bytes: usize,
    ) -> usize {
        let Some(current) = self.of(attempt) else {
            return 0;
        };
        let sent = current.credit.min(bytes as u64);
        current.credit -= sent;
        let totals = match stream {
            Stream::Stdout => &mut current.totals[0],
            Stream::Stderr => &mut current.totals[1],
        };
        totals.seen += bytes as u64;
        totals.sent += sent;
        // It is no more than `bytes`.
        sent as usize
    }

    /// What can be said of the call whose process has ended, having consumed so much in its life.
    pub(in crate::worker::agent) fn report(&self, life: Usage, left_over: u32) -> CallReport {
        let [stdout, stderr] = self
            .current
            .as_ref()
            .map_or_else(Default::default, |it| it.totals);
        let began = self.current.as_ref().map(|it| it.began);
        CallReport {
            usage: Usage {
                user: life.user.saturating_sub(self.consumed.user),
                system: life.system.saturating_sub(self.consumed.system),
                max_resident_kib: life.max_resident_kib,
            },
            elapsed: began.map_or(Duration::ZERO, |began| began.elapsed()),
            stdout,
            stderr,
            left_over,
        }
    }

    fn of(&mut self, attempt: AttemptId) -> Option<&mut Current> {
        self.current.as_mut().filter(|it| it.attempt == attempt)
    }
}
