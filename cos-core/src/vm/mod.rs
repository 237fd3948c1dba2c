//! Virtual machines: what runs tasks elsewhere.
//!
//! A [`VirtualMachine`] takes [`VmCommand`]s and gives [`VmEvent`]s. It decides nothing: placement, retries, blame
//! and every deadline belong to the kernel. [`host`] says what a host is and how it can fail.

pub mod agent;
pub mod host;
mod in_process;
pub mod local;
#[cfg(any(test, feature = "sim"))]
pub mod sim;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use crate::ids::{AttemptId, HostId, SlotId};
use crate::job::{Amounts, AttemptResult, Stream, Work};
use host::{HostFailure, HostInfo, HostLoss, HostNote, HostSpec, Stage};

/// What the kernel asks of a virtual machine.
#[derive(Clone, Debug, PartialEq)]
pub enum VmCommand {
    /// Make a host ready. Answered by [`VmEvent::Stage`]s and then [`VmEvent::Up`] or [`VmEvent::Failed`].
    Connect {
        /// Which host.
        host: HostId,
    },
    /// Run an attempt on a host that is up. Answered by [`VmEvent::Started`] and [`VmEvent::Ended`], unless the
    /// host is lost.
    Start {
        /// Where.
        host: HostId,
        /// Which attempt.
        attempt: AttemptId,
        /// Which try it is, from 1.
        try_number: u32,
        /// What it takes.
        amounts: Amounts,
        /// What to run.
        work: Arc<Work>,
    },
    /// Stop an attempt. Answered by [`VmEvent::Ended`].
    Stop {
        /// Where.
        host: HostId,
        /// Which attempt.
        attempt: AttemptId,
        /// From TERM to KILL; zero means KILL at once.
        grace: Duration,
    },
    /// Give an attempt back if it has not started. Answered by [`VmEvent::Returned`], or not at all when it has.
    Recall {
        /// Where.
        host: HostId,
        /// Which attempt.
        attempt: AttemptId,
    },
    /// An attempt that was [lent](VmEvent::Lent) has its licence back: it is polled again, and lends it again if it cannot go on
    /// after all. It may come before the attempt has said that it is [wanted](VmEvent::Wanted).
    Resume {
        /// Where.
        host: HostId,
        /// Which attempt.
        attempt: AttemptId,
    },
    /// What the client's runtime tells an attempt that runs. Messages to one attempt keep their order.
    Tell {
        /// Where.
        host: HostId,
        /// Which attempt.
        attempt: AttemptId,
        /// What, at most [`CHUNK`](crate::wire::frame::CHUNK) bytes.
        bytes: Bytes,
    },
    /// So many bytes of an attempt's output were consumed.
    Credit {
        /// Where.
        host: HostId,
        /// Which attempt.
        attempt: AttemptId,
        /// How many bytes.
        bytes: u64,
    },
    /// End a host's agent and everything below it at once, then its connection. Answered by [`VmEvent::Closed`].
    Disconnect {
        /// Which host.
        host: HostId,
        /// From TERM to KILL for jobs that run.
        grace: Duration,
    },
}

/// What a virtual machine tells the kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum VmEvent {
    /// How far a host's start has come.
    Stage {
        /// Which host.
        host: HostId,
        /// Its stage.
        stage: Stage,
    },
    /// A host is ready for attempts.
    Up {
        /// Which host.
        host: HostId,
        /// What it is.
        info: Arc<HostInfo>,
    },
    /// A host could not be made ready.
    Failed {
        /// Which host.
        host: HostId,
        /// Why.
        failure: Arc<HostFailure>,
    },
    /// A host that was up is gone, and with it every attempt that was there.
    Lost {
        /// Which host.
        host: HostId,
        /// How.
        loss: HostLoss,
    },
    /// A host that was asked to disconnect has done so.
    Closed {
        /// Which host.
        host: HostId,
        /// What could not be removed or killed there, empty when all is clean.
        left: Vec<String>,
    },
    /// Something worth a line.
    Note {
        /// Which host.
        host: HostId,
        /// What.
        note: HostNote,
    },
    /// A host's load by others than COS's jobs, per core.
    Load {
        /// Which host.
        host: HostId,
        /// The load.
        others_per_core: f64,
    },
    /// From when on the host has not been heard; `None` when it has been heard again.
    Silent {
        /// Which host.
        host: HostId,
        /// For how long.
        silent_for: Option<Duration>,
    },
    /// The measured round trip to a host's agent.
    RoundTrip {
        /// Which host.
        host: HostId,
        /// How long.
        duration: Duration,
    },
    /// An attempt has begun.
    Started {
        /// Where.
        host: HostId,
        /// Which attempt.
        attempt: AttemptId,
        /// On which slot of the host.
        slot: SlotId,
    },
    /// Bytes that an attempt wrote. Whoever consumes them answers with [`VmCommand::Credit`].
    Output {
        /// Where.
        host: HostId,
        /// Which attempt.
        attempt: AttemptId,
        /// On which stream.
        stream: Stream,
        /// The bytes, at most [`CHUNK`](crate::wire::frame::CHUNK).
        bytes: Bytes,
    },
    /// Every microthread of an attempt that runs is blocked in a wait of COS: its amounts are free for others. Its process
    /// stays.
    Lent {
        /// Where.
        host: HostId,
        /// Which attempt.
        attempt: AttemptId,
    },
    /// An attempt that was lent could go on. It does when it gets a [`VmCommand::Resume`].
    Wanted {
        /// Where.
        host: HostId,
        /// Which attempt.
        attempt: AttemptId,
    },
    /// What an attempt that runs says to the client's runtime. Messages of one attempt keep their order, also among its
    /// other events.
    Told {
        /// Where.
        host: HostId,
        /// Which attempt.
        attempt: AttemptId,
        /// What, at most [`CHUNK`](crate::wire::frame::CHUNK) bytes.
        bytes: Bytes,
    },
    /// An attempt has ended; all of its output came before.
    Ended {
        /// Where.
        host: HostId,
        /// Which attempt.
        attempt: AttemptId,
        /// How.
        result: AttemptResult,
    },
    /// An attempt that had not started came back.
    Returned {
        /// Where.
        host: HostId,
        /// Which attempt.
        attempt: AttemptId,
    },
}

/// Runs tasks on hosts. Object-safe; the runtime owns one as `Box<dyn VirtualMachine>`.
pub trait VirtualMachine {
    /// The hosts, in the order of their [`HostId`]s, which count from 0. Constant for the machine's life.
    fn hosts(&self) -> &[HostSpec];

    /// Takes a command. Never blocks and never fails: what goes wrong comes back as an event. Commands for one host are
    /// carried out in order; those for a host that is not up are dropped (its loss was reported).
    fn submit(&mut self, command: VmCommand);

    /// The next event. Events of one host come in order. `Ready(None)` when the machine is shut down and every
    /// event was given. Cancel safe: an event is lost only by ignoring it.
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<VmEvent>>;

    /// Ends all hosts as [`VmCommand::Disconnect`] does; [`poll_event`](Self::poll_event) then ends after the last
    /// [`VmEvent::Closed`] or after `limit`. Dropping the machine without it kills what this process holds, and the
    /// end of the channels ends what the hosts hold.
    fn shutdown(&mut self, grace: Duration, limit: Duration);
}
