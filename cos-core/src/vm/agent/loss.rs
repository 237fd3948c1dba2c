//! Puts what ended a session, or kept it from beginning, into words.

use crate::vm::host::{FailureKind, HostFailure, HostLoss, Stage};
use crate::wire::PROTOCOL_VERSION;
use crate::wire::message::{AgentHello, PrepareError};

/// How a bridge announces the end of its agent on standard error.
const AGENT_DIED: &str = "agent died: ";

/// The loss of a host whose stream has ended, from what its transport said last.
pub(super) fn of_stream_end(words: &str) -> HostLoss {
    match words.lines().find_map(|line| line.split_once(AGENT_DIED)) {
        Some((_, cause)) => HostLoss::AgentDied {
            cause: cause.trim().to_owned(),
        },
        None => {
            let words = words.trim();
            let cause = if words.is_empty() {
                "end of stream"
            } else {
                words
            };
            HostLoss::Disconnected {
                cause: cause.to_owned(),
            }
        }
    }
}

/// A host that was lost before it was up.
pub(super) fn before_up(host: &str, stage: Stage, loss: &HostLoss) -> HostFailure {
    let kind = match loss {
        HostLoss::Protocol { .. } | HostLoss::Left { .. } => FailureKind::Permanent,
        _ => FailureKind::Retry,
    };
    HostFailure {
        headline: format!("{host} was lost while it got ready (stage {stage})"),
        stage,
        cause: loss.to_string(),
        cure: None,
        kind,
    }
}

/// Client and agent do not speak the same protocol.
pub(super) fn of_version(host: &str, hello: &AgentHello) -> HostFailure {
    HostFailure {
        stage: Stage::Starting,
        headline: format!("the worker on {host} is of another version"),
        cause: format!(
            "worker: release {}, protocol {}; client: release {}, protocol {PROTOCOL_VERSION}",
            hello.release,
            hello.protocol,
            env!("CARGO_PKG_VERSION"),
        ),
        cure: Some(
            "a [worker] entry in hosts.toml names an executable of another release".to_owned(),
        ),
        kind: FailureKind::Permanent,
    }
}

/// The host cannot be used as the run needs it.
pub(super) fn of_preparation(host: &str, error: PrepareError) -> HostFailure {
    let (headline, cause, cure) = match error {
        PrepareError::Setup { ended, output } => (
            format!("the setup of {host} failed: {ended}"),
            output,
            format!("try it there: ssh {host}; the key is `setup` in hosts.toml"),
        ),
        PrepareError::Scratch { cause } => (
            format!("{host} gives no scratch directory"),
            cause,
            "name another one: `local_storage` in hosts.toml".to_owned(),
        ),
        PrepareError::Shell { cause } => (
            format!("{host} cannot execute the shell of this run"),
            cause,
            "name one that every host has: --shell, or `shell` in hosts.toml".to_owned(),
        ),
        PrepareError::Other { cause } => (
            format!("{host} cannot get ready"),
            cause,
            "`cos doctor` looks closer".to_owned(),
        ),
    };
    HostFailure {
        stage: Stage::Preparing,
        headline,
        cause,
        cure: Some(cure),
        kind: FailureKind::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_agent_is_told_from_a_dead_connection() {
        assert_eq!(
            of_stream_end("motd\ncos-worker: agent died: SIGKILL\n"),
            HostLoss::AgentDied {
                cause: "SIGKILL".to_owned()
            }
        );
        assert_eq!(
            of_stream_end(" "),
            HostLoss::Disconnected {
                cause: "end of stream".to_owned()
            }
        );
    }
}
