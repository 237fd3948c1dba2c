//! What a session does with the kernel's commands, and when time passes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{BYE_LIMIT, Break, Phase, Session, SessionEnd, protocol, stamp};
use crate::clock;
use crate::ids::AttemptId;
use crate::job::{AttemptResult, CommandEnd, Exit, Stream, StreamTotals, Work};
use crate::vm::agent::staging::Held;
use crate::vm::host::HostLoss;
use crate::vm::{VmCommand, VmEvent};
use crate::wire::frame::FrameError;
use crate::wire::message::{OUTPUT_WINDOW, ToAgent};

impl Session<'_> {
    pub(super) fn obey(&mut self, command: VmCommand) -> Result<(), Break> {
        match command {
            VmCommand::Connect { .. } => Ok(()),
            VmCommand::Start {
                attempt,
                try_number,
                amounts,
                work,
                ..
            } => {
                let held = Held {
                    attempt,
                    try_number,
                    amounts,
                    work,
                };
                match self.staging.begin(held, self.shares_directory()) {
                    Some(held) => self.start(held),
                    None => Ok(()),
                }
            }
            VmCommand::Stop { attempt, .. } if self.staging.withdraw(attempt) => {
                let (host, result) = (self.host, AttemptResult::Stopped(None));
                self.emit(VmEvent::Ended {
                    host,
                    attempt,
                    result,
                });
                Ok(())
            }
            VmCommand::Stop { attempt, grace, .. } => self.say(ToAgent::Stop { attempt, grace }),
            VmCommand::Recall { attempt, .. } if self.staging.withdraw(attempt) => {
                let host = self.host;
                self.emit(VmEvent::Returned { host, attempt });
                Ok(())
            }
            VmCommand::Recall { attempt, .. } => self.say(ToAgent::Recall { attempt }),
            VmCommand::Resume { attempt, .. } => self.say(ToAgent::Resume { attempt }),
            VmCommand::Tell { attempt, bytes, .. } => self
                .link
                .push(ToAgent::Tell { attempt }, &bytes, &mut self.out)
                .map_err(protocol),
            VmCommand::Credit { attempt, bytes, .. } => self.credit(attempt, bytes),
            VmCommand::Disconnect { .. } if matches!(self.phase, Phase::Closing { .. }) => Ok(()),
            VmCommand::Disconnect { grace, .. } => {
                self.phase = Phase::Closing {
                    deadline: Instant::now() + grace + BYE_LIMIT,
                };
                self.say(ToAgent::Shutdown { grace })
            }
        }
    }

    /// Sends an attempt to its host.
    pub(super) fn start(&mut self, held: Held) -> Result<(), Break> {
        let Held {
            attempt,
            try_number,
            amounts,
            work,
        } = held;
        let mut work = Box::new(Arc::unwrap_or_clone(work));
        let more_arguments = match &mut *work {
            Work::Call(call) => self.bulk.cut(attempt, call),
            Work::Command(_) => 0,
        };
        let start = ToAgent::Start {
            attempt,
            try_number,
            amounts,
            work,
            more_arguments,
        };
        match self.link.push(start, &[], &mut self.out) {
            Err(FrameError::TooLong { claimed }) => self.refuse(attempt, claimed),
            Err(error) => return Err(protocol(error)),
            Ok(()) => {
                self.windows.insert(attempt, OUTPUT_WINDOW);
            }
        }
        Ok(())
    }

    /// Ends an attempt at a job that fits into no frame, as the host's kernel would have ended it: it takes far less.
    fn refuse(&mut self, attempt: AttemptId, bytes: u64) {
        let words = format!("cos: a command of {bytes} bytes is longer than any kernel takes\n");
        self.not_executed(attempt, Exit::TOO_LONG, words);
    }

    /// Ends an attempt that is not sent, with words on its standard error.
    pub(super) fn not_executed(&mut self, attempt: AttemptId, exit: Exit, words: String) {
        let host = self.host;
        let stderr = StreamTotals {
            seen: words.len() as u64,
            sent: words.len() as u64,
        };
        self.emit(VmEvent::Output {
            host,
            attempt,
            stream: Stream::Stderr,
            bytes: words.into(),
        });
        self.emit(VmEvent::Ended {
            host,
            attempt,
            result: AttemptResult::Command(CommandEnd::not_executed(exit, stderr)),
        });
    }

    pub(super) fn credit(&mut self, attempt: AttemptId, bytes: u64) -> Result<(), Break> {
        let Some(window) = self.windows.get_mut(&attempt) else {
            return Ok(());
        };
        *window = window.saturating_add(bytes);
        self.say(ToAgent::Credit { attempt, bytes })
    }

    /// What time asks for: a heartbeat, a word about silence, the end of a lease or of the patience with a goodbye.
    pub(super) fn tick(&mut self, interval: Duration) -> Result<Option<SessionEnd>, Break> {
        let now = clock::now();
        if let Phase::Closing { deadline } = self.phase
            && Instant::now() >= deadline
        {
            let left =
                vec!["it did not confirm the end; its lease ends what runs there".to_owned()];
            return Ok(Some(SessionEnd::Closed { left }));
        }
        if self.events.is_full() {
            // The host is not read from: that it is not heard says nothing about it.
            self.heard = now;
        }
        let silent_for = now.since(self.heard);
        if silent_for >= self.preparation.lease {
            return Err(Break::Loss(HostLoss::Silent { silent_for }));
        }
        if silent_for > 3 * interval {
            self.told_silent = true;
            self.emit(VmEvent::Silent {
                host: self.host,
                silent_for: Some(silent_for),
            });
        }
        // Unwritten bytes mean that the stream is stuck: another heartbeat behind them helps nobody.
        if self.out.is_empty() && !matches!(self.phase, Phase::Greeting) {
            self.say_unnumbered(ToAgent::Heartbeat { stamp: stamp() })?;
        }
        Ok(None)
    }
}
