//! Arguments and values of calls that are too long for one frame.
//!
//! ```text
//!  arguments   Start, with the first part -->   <-- ArgumentsWanted   Arguments -->   Arguments -->  ..
//!  value       <-- Value   <-- Value   Credit -->   ..   <-- Ended, with the last part
//! ```
//!
//! Nothing is sent unasked beyond one frame, so an agent holds no more of either than a window for each slot.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use super::{Break, Session, protocol};
use crate::encoding::VALUE_LIMIT;
use crate::ids::AttemptId;
use crate::job::{AttemptResult, Call};
use crate::wire::frame::CHUNK;
use crate::wire::message::{OUTPUT_WINDOW, ToAgent};

/// Credit for a value is granted in such steps: half a window, so that the rest of it is on its way meanwhile.
const CREDIT_STEP: u64 = OUTPUT_WINDOW / 2;

/// What the attempts of one session have sent, or are still to be sent, in parts.
#[derive(Default)]
pub(super) struct Bulk {
    /// The arguments that an agent may still ask for.
    arguments: HashMap<AttemptId, Bytes>,
    values: HashMap<AttemptId, Value>,
}

#[derive(Default)]
struct Value {
    bytes: BytesMut,
    /// What has come and was not granted again.
    ungranted: u64,
}

impl Bulk {
    /// Cuts the arguments of a call that is about to be sent, and keeps what the agent is to ask for. The result is how
    /// many bytes that are.
    pub(super) fn cut(&mut self, attempt: AttemptId, call: &mut Call) -> u64 {
        if call.arguments.len() <= CHUNK {
            return 0;
        }
        let rest = call.arguments.split_off(CHUNK);
        let count = rest.len() as u64;
        self.arguments.insert(attempt, rest);
        count
    }

    /// An attempt has ended: its value as a whole, where it came in parts.
    fn finish(
        &mut self,
        attempt: AttemptId,
        result: AttemptResult,
    ) -> Result<AttemptResult, Break> {
        self.arguments.remove(&attempt);
        let Some(value) = self.values.remove(&attempt) else {
            return Ok(result);
        };
        match result {
            AttemptResult::Call {
                result: Ok(last),
                report,
            } => {
                let mut bytes = value.bytes;
                check(bytes.len() + last.len(), attempt)?;
                bytes.extend_from_slice(&last);
                let result = Ok(bytes.freeze());
                Ok(AttemptResult::Call { result, report })
            }
            other => Ok(other),
        }
    }

    /// An attempt will not run there.
    fn forget(&mut self, attempt: AttemptId) {
        self.arguments.remove(&attempt);
        self.values.remove(&attempt);
    }
}

impl Session<'_> {
    /// The agent takes so many more bytes of the arguments of an attempt.
    pub(super) fn send_arguments(&mut self, attempt: AttemptId, bytes: u64) -> Result<(), Break> {
        let Some(rest) = self.bulk.arguments.get_mut(&attempt) else {
            return Ok(());
        };
        let wanted = usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut now = rest.split_to(wanted.min(rest.len()));
        if rest.is_empty() {
            self.bulk.arguments.remove(&attempt);
        }
        while !now.is_empty() {
            let part = now.split_to(CHUNK.min(now.len()));
            let message = ToAgent::Arguments { attempt };
            self.link
                .push(message, &part, &mut self.out)
                .map_err(protocol)?;
        }
        Ok(())
    }

    /// A part of a value has come.
    pub(super) fn value(&mut self, attempt: AttemptId, part: &[u8]) -> Result<(), Break> {
        // Of an attempt that was not started here, or has ended, nothing is wanted.
        if !self.take_from_window(attempt, part.len())? {
            return Ok(());
        }
        let value = self.bulk.values.entry(attempt).or_default();
        check(value.bytes.len() + part.len(), attempt)?;
        value.bytes.extend_from_slice(part);
        value.ungranted += part.len() as u64;
        if value.ungranted < CREDIT_STEP {
            return Ok(());
        }
        let bytes = std::mem::take(&mut value.ungranted);
        self.credit(attempt, bytes)
    }

    /// An attempt has ended: what comes of it as a whole.
    pub(super) fn finish(
        &mut self,
        attempt: AttemptId,
        result: AttemptResult,
    ) -> Result<AttemptResult, Break> {
        self.windows.remove(&attempt);
        self.bulk.finish(attempt, result)
    }

    /// An attempt was given back.
    pub(super) fn forget(&mut self, attempt: AttemptId) {
        self.windows.remove(&attempt);
        self.bulk.forget(attempt);
    }
}

/// No program of ours makes a longer value.
fn check(length: usize, attempt: AttemptId) -> Result<(), Break> {
    match length {
        0..=VALUE_LIMIT => Ok(()),
        _ => Err(protocol(format!(
            "protocol error: a value of {attempt} that is longer than any may be"
        ))),
    }
}
