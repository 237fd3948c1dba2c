//! How an agent is reached: a launcher obtains a byte stream to an agent on one host, and knows nothing else.

use std::future::Future;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::vm::host::{HostFailure, HostNote, Stage};

/// Obtains byte streams to an agent on one host.
///
/// A virtual machine owns one launcher per host and calls it on its I/O thread, which lives as long as the machine:
/// a child process may carry `PR_SET_PDEATHSIG`.
pub trait Launcher: Send {
    /// Reaches the host, brings the worker there when it is missing, starts an agent and reads its preamble.
    ///
    /// `report` is called with each new [`Stage`]. Dropping the future gives up and leaves no process of this
    /// machine behind; calling again starts anew.
    fn launch<'a>(
        &'a mut self,
        request: LaunchRequest,
        report: &'a mut (dyn FnMut(Stage) + 'a),
    ) -> Pin<Box<dyn Future<Output = Result<Channel, HostFailure>> + 'a>>;
}

/// What a launcher needs to know of the run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaunchRequest {
    /// The run's id, at most 32 letters, digits and hyphens: it names files on the host.
    pub run: String,
    /// The host's name, for messages and for the agent's socket.
    pub host: String,
}

/// A stream to an agent whose preamble has been read: frames follow.
pub struct Channel {
    /// From the agent.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// To the agent.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Bytes that were read behind the preamble's last line.
    pub received: Vec<u8>,
    /// Bytes of worker that had to be sent.
    pub uploaded: u64,
    /// What was noticed on the way.
    pub notes: Vec<HostNote>,
    /// The transport itself.
    pub transport: Box<dyn Transport>,
}

/// What carries a [`Channel`]: an ssh connection or a child process. Dropping it kills what it holds on this machine.
pub trait Transport: Send {
    /// Waits until the transport has ended after an end of its stream, and says why in its own words (ssh's standard
    /// error, a child's exit status). Cancel safe.
    fn ended<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = String> + Send + 'a>>;
}
