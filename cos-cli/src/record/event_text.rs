//! What events say, in the words of `events.jsonl`.

use cos_core::event::{AgainCause, PauseCause};
use cos_core::job::{Exit, Outcome, TaskError};
use cos_core::vm::host::HostNote;
use cos_core::wire::message::AgentNote;

use super::event_log::rounded;

pub(super) fn result_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(
            TaskError::CommandFailed { .. }
            | TaskError::Failed { .. }
            | TaskError::Panicked { .. }
            | TaskError::Exited { .. },
        ) => "failed",
        Err(TaskError::TimedOut { .. }) => "timed-out",
        Err(TaskError::Quarantined { .. }) => "quarantined",
        Err(TaskError::NoHostLeft { .. }) => "no-host-left",
        Err(TaskError::HostLost { .. }) => "host-lost",
        Err(TaskError::CommandMissing { .. }) => "command-missing",
        Err(TaskError::Invalid { .. }) => "invalid",
        Err(TaskError::Cancelled { .. }) => "cancelled",
        Err(_) => "error",
    }
}

pub(super) fn pause_text(cause: PauseCause) -> String {
    match cause {
        PauseCause::FailsFast { failures } => format!("{failures} failures in a row"),
        PauseCause::Load {
            others_per_core,
            limit,
        } => {
            format!("other people's load is {others_per_core:.2} per core, the limit {limit:.2}")
        }
    }
}

pub(super) fn again_text(cause: &AgainCause) -> String {
    let exit = |exit: &Exit| exit.to_string();
    match cause {
        AgainCause::Retry {
            end,
            try_number,
            tries,
        } => {
            format!("{}, try {try_number}/{tries}", exit(&end.exit))
        }
        AgainCause::CallFailed {
            failure,
            try_number,
            tries,
        } => format!("{failure}, try {try_number}/{tries}"),
        AgainCause::TimedOut {
            after,
            try_number,
            tries,
        } => {
            format!(
                "timed out after {} s, try {try_number}/{tries}",
                rounded(*after)
            )
        }
        AgainCause::Crash {
            crashes,
            limit,
            cause,
        } => format!("{cause}, crash {crashes}/{limit}"),
        AgainCause::NotStarted { cause } => format!("not started: {cause}"),
        AgainCause::CommandMissing { exit: missing } => {
            format!("{}: the command is missing there", exit(missing))
        }
    }
}

pub(super) fn note_text(note: &HostNote) -> String {
    match note {
        HostNote::IgnoredLines { lines, first } => format!("ignored {lines} lines: {first}"),
        HostNote::Redeployed { path } => format!("digest differs, redeployed: {path}"),
        HostNote::DirectorySkipped { path, cause } => format!("{path} cannot be used: {cause}"),
        HostNote::Sent { path, bytes } => format!("sent {path} ({bytes} bytes)"),
        HostNote::Agent(AgentNote::LeftOver { killed, .. }) => {
            format!("killed {killed} left-over processes")
        }
        HostNote::Agent(AgentNote::SlotRestarted { slot, cause }) => {
            format!("slot {slot} restarted: {cause}")
        }
        HostNote::Agent(AgentNote::Text(text)) => text.clone(),
    }
}
