//! The virtual machine that drives agents over byte streams; local and ssh hosts differ only in their launcher.
//!
//! Sessions, heartbeats and acknowledgements live on a thread of their own (`io_thread`), so that a program that
//! computes for an hour between two system calls costs no lease.
//!
//! ```text
//!  Idle --Connect--> Launching --channel--> Greeting --hello--> Preparing --prepared--> Up
//!    ^                   |                     |                    |                   |
//!    |<----- Failed -----+---------------------+--------------------+                   |
//!    |<----- Lost / Closed --------------------------------------------------------------'
//! ```
//!
//! Neither direction between the two threads is limited by a channel's length, since a session must never wait for
//! the OS thread. Commands are as many as the kernel's slots and prefetch; events are bounded by the `outbox`, and
//! the output among them by [`OUTPUT_WINDOW`](crate::wire::message::OUTPUT_WINDOW) for each attempt.

mod host_task;
mod io_thread;
pub mod launcher;
mod loss;
pub mod opening;
mod outbox;
mod session;
mod staging;

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;

use super::host::HostSpec;
use super::{VirtualMachine, VmCommand, VmEvent};
use crate::ids::HostId;
use crate::wire::message::Preparation;
use io_thread::IoThread;
use launcher::Launcher;
use outbox::Queued;

/// A host of an [`AgentVm`].
pub struct AgentHost {
    /// What the kernel knows of it.
    pub spec: HostSpec,
    /// How its agent is reached.
    pub launcher: Box<dyn Launcher>,
    /// How jobs are to see it.
    pub preparation: Preparation,
}

/// Runs tasks through agents, whatever carries the streams to them.
///
/// Dropping it closes every channel, which ends every agent with all that runs below it; use
/// [`shutdown`](VirtualMachine::shutdown) to hear that they have.
pub struct AgentVm {
    specs: Vec<HostSpec>,
    thread: IoThread,
    events: mpsc::UnboundedReceiver<Queued>,
}

impl AgentVm {
    /// A machine of these hosts, none of which is reached before it is asked to
    /// [connect](VmCommand::Connect).
    ///
    /// # Errors
    /// When the operating system gives no thread or no event queue.
    pub fn new(hosts: Vec<AgentHost>) -> std::io::Result<Self> {
        let specs = hosts.iter().map(|host| host.spec.clone()).collect();
        let (sender, events) = mpsc::unbounded_channel();
        let thread = IoThread::start(hosts, sender)?;
        Ok(Self {
            specs,
            thread,
            events,
        })
    }
}

impl VirtualMachine for AgentVm {
    fn hosts(&self) -> &[HostSpec] {
        &self.specs
    }

    fn submit(&mut self, command: VmCommand) {
        self.thread.submit(command);
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<VmEvent>> {
        self.events
            .poll_recv(context)
            .map(|queued| queued.map(Queued::take))
    }

    fn shutdown(&mut self, grace: Duration, limit: Duration) {
        self.thread.shutdown(grace, limit);
    }
}

impl VmCommand {
    /// The host that a command is for.
    pub fn host(&self) -> HostId {
        match self {
            Self::Connect { host }
            | Self::Start { host, .. }
            | Self::Stop { host, .. }
            | Self::Recall { host, .. }
            | Self::Resume { host, .. }
            | Self::Tell { host, .. }
            | Self::Credit { host, .. }
            | Self::Disconnect { host, .. } => *host,
        }
    }
}

impl VmEvent {
    /// The host that an event is about.
    pub fn host(&self) -> HostId {
        match self {
            Self::Stage { host, .. }
            | Self::Up { host, .. }
            | Self::Failed { host, .. }
            | Self::Lost { host, .. }
            | Self::Closed { host, .. }
            | Self::Note { host, .. }
            | Self::Load { host, .. }
            | Self::Silent { host, .. }
            | Self::RoundTrip { host, .. }
            | Self::Started { host, .. }
            | Self::Output { host, .. }
            | Self::Lent { host, .. }
            | Self::Wanted { host, .. }
            | Self::Told { host, .. }
            | Self::Ended { host, .. }
            | Self::Returned { host, .. } => *host,
        }
    }
}
