//! What becomes of a slot that has died: its last words, its orphans, its attempt.

use std::time::Duration;

use super::attempts::SlotKind;
use super::session::Session;
use super::slots::{Pid, SlotProcess};
use super::work::Work;
use crate::ids::AttemptId;
use crate::job::{AttemptResult, CallFailure, CommandEnd, Exit, Stream};
use crate::wire::frame::CHUNK;
use crate::wire::message::{AgentNote, FromAgent};
use crate::worker::calls::{Ended, reap_all};
use crate::worker::containment::{self, Scope};

/// How long the orphans of a dead slot may resist (5 s).
const KILL_LIMIT: Duration = Duration::from_secs(5);

impl Work {
    /// A child has ended. If it was a slot, its last words are passed on, what it has left is killed and its attempt is
    /// reported.
    pub(super) fn bury(&mut self, child: Ended, session: &mut Session, ended: &mut Vec<Ended>) {
        self.kept.remove(&child.pid);
        let pid = Pid(child.pid);
        for frame in self.slots.last_words(pid) {
            self.pass_on(pid, frame.header, &frame.payload, session);
        }
        let served = self.slots.retire(pid);
        let Some(mut process) = self.slots.remove(pid) else {
            return;
        };
        if served {
            // What lay there before its turn was not begun.
            self.attempts.leaving(process.slot, process.kind);
        }
        let living = self.slots.pids().chain(self.kept.iter().copied()).collect();
        let killed = containment::kill(
            Scope::Except(&living),
            &mut || reap_all(&mut |child| ended.push(child)),
            KILL_LIMIT,
        );
        if served {
            let (slot, cause) = (process.slot, child.exit.to_string());
            let note = AgentNote::SlotRestarted { slot, cause };
            session.say(FromAgent::Note(note), &[]);
        }
        if let Some(attempt) = process.progress.attempt() {
            let result = match process.kind {
                SlotKind::Command => AttemptResult::SlotDied { exit: child.exit },
                SlotKind::Call => {
                    last_output(&mut process, attempt, session);
                    self.end_of_call(&process, &child, killed.count)
                }
            };
            self.attempts.end(attempt, None);
            self.overdue.forget(attempt);
            self.staging.end(attempt, result, session);
        }
    }

    /// What the death of its process means for a call: nobody else can have killed it if it was to be stopped.
    fn end_of_call(
        &mut self,
        process: &SlotProcess,
        child: &Ended,
        left_over: u32,
    ) -> AttemptResult {
        let report = process.progress.report(child.usage, left_over);
        let out_of_memory_kills = match child.exit {
            Exit::Signal(libc::SIGKILL) => self.memory.more_kills(),
            _ => 0,
        };
        if process.progress.is_stopped() {
            return AttemptResult::Stopped(Some(CommandEnd {
                exit: child.exit,
                usage: report.usage,
                elapsed: report.elapsed,
                stdout: report.stdout,
                stderr: report.stderr,
                left_over: 0,
                out_of_memory_kills: 0,
            }));
        }
        AttemptResult::Call {
            result: Err(CallFailure::ProcessEnded {
                exit: child.exit,
                out_of_memory_kills,
            }),
            report,
        }
    }
}

/// Sends what a call had printed when its process died, as far as its credit goes. Nothing writes there any more.
fn last_output(process: &mut SlotProcess, attempt: AttemptId, session: &mut Session) {
    let mut piece = vec![0; CHUNK];
    for (at, stream) in [(0, Stream::Stdout), (1, Stream::Stderr)] {
        loop {
            let count = process.last_output(at, &mut piece);
            if count == 0 {
                break;
            }
            let sent = process.progress.printed(attempt, stream, count);
            if sent > 0 {
                session.say(FromAgent::Output { attempt, stream }, &piece[..sent]);
            }
        }
    }
}
