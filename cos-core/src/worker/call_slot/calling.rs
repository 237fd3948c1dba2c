//! The main thread: runs one call after the other.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use rustix::process::fchdir;

use super::delivery::Finished;
use super::execution::Executor;
use super::left_over;
use super::line::SlotLine;
use super::shared::Shared;
use super::state::Begun;
use crate::job::{CallFailure, Usage};
use crate::wire::frame::CHUNK;
use crate::worker::calls::{flush_c_streams, usage_so_far};

/// Runs calls for as long as this process lives.
pub(super) fn serve(shared: &Arc<Shared>) -> ! {
    let mut start = Start { directory: None };
    let mut executor = Executor::default();
    let mut buffer = vec![0; CHUNK];
    let mut finished = None;
    loop {
        let begun = shared.exchange(finished.take(), &mut buffer);
        finished = Some(run(&begun, &mut start, &mut executor, shared));
    }
}

fn run(
    begun: &Begun,
    start: &mut Start,
    executor: &mut Executor,
    shared: &Arc<Shared>,
) -> Finished {
    if let Err(cause) = start.restore(&begun.directory, shared) {
        return Finished {
            result: Ok(Bytes::new()),
            elapsed: Default::default(),
            usage: Usage::default(),
            left_over: 0,
            not_started: Some(cause),
        };
    }
    let usage_before = usage_so_far();
    let began = Instant::now();
    let result = executor.execute(&begun.call, SlotLine::new(shared, begun.attempt));
    flush();
    let elapsed = began.elapsed();
    let left_over = left_over::clear();
    Finished {
        result: result.map_err(cut),
        elapsed,
        usage: since(usage_before, usage_so_far()),
        left_over,
        not_started: None,
    }
}

/// How every call finds this process, whatever the one before it did.
struct Start {
    directory: Option<OwnedFd>,
}

impl Start {
    fn restore(&mut self, directory: &Path, shared: &Shared) -> Result<(), String> {
        let failed = |error| format!("{}: {error}", directory.display());
        let descriptor = match &self.directory {
            Some(descriptor) => descriptor,
            None => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let opened = rustix::fs::open(directory, flags, Mode::empty());
                self.directory.insert(opened.map_err(failed)?)
            }
        };
        fchdir(descriptor).map_err(failed)?;
        let restored = shared.outputs.restore();
        restored.map_err(|error| format!("standard output: {error}"))
    }
}

/// Sends what a task has printed into the pipes, so that it is this task's.
fn flush() {
    // A task may have closed them.
    let _ = std::io::stdout().flush();
    flush_c_streams();
}

fn since(before: Usage, now: Usage) -> Usage {
    Usage {
        user: now.user.saturating_sub(before.user),
        system: now.system.saturating_sub(before.system),
        max_resident_kib: now.max_resident_kib,
    }
}

/// How long a text of a failure may be (64 KiB): it travels in one frame.
const TEXT_LIMIT: usize = 64 * 1024;

fn cut(mut failure: CallFailure) -> CallFailure {
    let text = match &mut failure {
        CallFailure::Error { text } => text,
        CallFailure::Panicked { message, .. } => message,
        CallFailure::Undecodable { error } | CallFailure::Unencodable { error } => error,
        CallFailure::ProcessEnded { .. } | CallFailure::NotRegistered(_) => return failure,
    };
    if text.len() > TEXT_LIMIT {
        let mut end = TEXT_LIMIT;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(" ...");
    }
    failure
}
