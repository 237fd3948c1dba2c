//! The ways in which ssh fails to reach a host.

use std::path::PathBuf;

use cos_core::vm::host::FailureKind;

/// Why ssh did not reach a host, as far as its words tell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SshFailure {
    /// The name has no address.
    Unresolvable,
    /// Nothing listens on the port, or a firewall refuses.
    Refused,
    /// There is no route, or the network is down.
    NoRoute,
    /// No answer in time, neither to the connection nor afterwards.
    Timeout,
    /// sshd, or what stands before it, closed the connection before anybody logged in: it limits how many
    /// may be logging in at once (MaxStartups), or starts or stops at this moment.
    ClosedByRemote,
    /// A connection that was up is gone.
    ConnectionLost,
    /// sshd opened no channel on a connection that is up (MaxSessions).
    SessionRefused,
    /// sshd did not let the user in.
    PermissionDenied {
        /// What it would have accepted: `publickey`, `password` and so on; empty if it did not say.
        methods: Vec<String>,
        /// What stood in the way on this side.
        obstacle: Option<LoginObstacle>,
    },
    /// The host's key is not in known_hosts.
    HostKeyUnknown,
    /// The host's key is another one than known_hosts has.
    HostKeyChanged {
        /// The file that has the other key, and the line, if ssh named them.
        known: Option<(PathBuf, u32)>,
    },
    /// The host's key was revoked by whoever keeps the lists of keys.
    HostKeyRevoked,
    /// Both sides know no common algorithm.
    NoCommonAlgorithm,
    /// What answers is not an ssh server.
    NotSsh,
    /// The command that leads to the host, ProxyCommand or ProxyJump, failed in a way of its own.
    ProxyFailed,
    /// ssh does not understand its configuration, or refuses to read it.
    BadConfiguration,
    /// There is no ssh on this machine.
    NoSshClient,
    /// Something else; only its words are known.
    Other,
}

impl SshFailure {
    /// What to do about the host.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Unresolvable
            | Self::Refused
            | Self::NoRoute
            | Self::Timeout
            | Self::ConnectionLost
            | Self::ProxyFailed
            | Self::Other => FailureKind::Retry,
            Self::ClosedByRemote | Self::SessionRefused => FailureKind::Crowded,
            // A second try at a refused login is what sshd punishes; the others come out the same.
            Self::PermissionDenied { .. }
            | Self::HostKeyUnknown
            | Self::HostKeyChanged { .. }
            | Self::HostKeyRevoked
            | Self::NoCommonAlgorithm
            | Self::NotSsh
            | Self::BadConfiguration
            | Self::NoSshClient => FailureKind::Permanent,
        }
    }
}

/// What kept this side from logging in, where ssh said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginObstacle {
    /// ssh ignored a private key because others may read it.
    KeyReadableByOthers(PathBuf),
    /// sshd gave up before the right key was offered: the agent holds too many.
    TooManyKeys,
    /// The agent has the key and did not sign.
    AgentRefused,
}

/// What the ssh agent holds, as `ssh-add -l` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentKeys {
    /// At least one key.
    Some,
    /// No key.
    None,
    /// There is no agent, or no `ssh-add` to ask it.
    NoAgent,
}

impl AgentKeys {
    /// From the exit status of `ssh-add -l`; `None` if it could not be run or was killed.
    pub fn from_exit_code(code: Option<i32>) -> Self {
        match code {
            Some(0) => Self::Some,
            Some(1) => Self::None,
            _ => Self::NoAgent,
        }
    }
}
