//! The virtual machine of an inventory: ssh hosts and this machine side by side.

mod ahead;
mod builder;
mod descriptors;
mod error;
mod mirrors;
mod preparation;
mod proofs;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use cos_core::vm::agent::AgentVm;
use cos_core::vm::host::HostSpec as KernelHost;
use cos_core::vm::{VirtualMachine, VmCommand, VmEvent};

use self::ahead::Ahead;
pub use self::builder::SshVmBuilder;
pub use self::error::SshVmError;
pub use self::mirrors::Mirrors;
pub use self::preparation::StartDirectory;
use self::proofs::{Proofs, Removal};

/// The hosts of an inventory as one virtual machine. Hosts named `local` need no ssh.
///
/// No host is reached before it is asked to [connect](VmCommand::Connect), or by [`SshVm::discover`] and
/// [`SshVmBuilder::connect`].
pub struct SshVm {
    machine: AgentVm,
    ahead: Ahead,
    proofs: Arc<Proofs>,
    /// While the last host that has looked for the tokens is not to be told of yet: its event, and the tokens' removal.
    removal: Option<(VmEvent, Pin<Box<Removal>>)>,
}

impl SshVm {
    /// The hosts that `cos run` would find here, or this machine's cores where there is no hosts.toml. Returns when one
    /// of them is ready.
    ///
    /// This program is the worker on all of them: its first line is [`cos_core::worker::init`].
    ///
    /// # Errors
    ///
    /// As [`SshVmBuilder::connect`].
    pub async fn discover() -> Result<Self, SshVmError> {
        Self::builder().connect().await
    }

    /// A machine of which something is to be said.
    pub fn builder() -> SshVmBuilder {
        SshVmBuilder::new()
    }

    /// Connects all hosts and waits until one is ready.
    async fn first_ready(&mut self) -> Result<(), SshVmError> {
        let hosts = self.machine.hosts().len();
        for command in self.ahead.begin() {
            self.machine.submit(command);
        }
        let mut failures = Vec::new();
        while failures.len() < hosts {
            let event = poll_fn(|context| self.poll_told(context)).await;
            let Some(event) = event else { break };
            let is_up = matches!(event, VmEvent::Up { .. });
            if let VmEvent::Failed { failure, .. } = &event {
                failures.push(Arc::clone(failure));
            }
            // Every host is held back as yet.
            let _ = self.ahead.hold_back(event);
            if is_up {
                return Ok(());
            }
        }
        Err(SshVmError::NoHostReady { failures })
    }

    /// The next event. That a host is ready, or not to be had, is told when the tokens are out of sight that it looked for,
    /// if it was the last to look: no job is to see them.
    fn poll_told(&mut self, context: &mut Context<'_>) -> Poll<Option<VmEvent>> {
        if let Some((_, removal)) = &mut self.removal {
            ready!(removal.as_mut().poll(context));
            let event = self.removal.take().map(|(event, _)| event);
            return Poll::Ready(event);
        }
        let event = ready!(self.machine.poll_event(context));
        let Some(
            VmEvent::Up { host, .. }
            | VmEvent::Failed { host, .. }
            | VmEvent::Lost { host, .. }
            | VmEvent::Closed { host, .. },
        ) = &event
        else {
            return Poll::Ready(event);
        };
        let (Some(removal), Some(event)) = (self.proofs.end(*host), &event) else {
            return Poll::Ready(event);
        };
        self.removal = Some((event.clone(), Box::pin(removal)));
        self.poll_told(context)
    }
}

impl VirtualMachine for SshVm {
    fn hosts(&self) -> &[KernelHost] {
        self.machine.hosts()
    }

    fn submit(&mut self, command: VmCommand) {
        if let Some(command) = self.ahead.pass(command) {
            self.machine.submit(command);
        }
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<VmEvent>> {
        loop {
            if let Some(event) = self.ahead.next(context) {
                return Poll::Ready(Some(event));
            }
            let Some(event) = ready!(self.poll_told(context)) else {
                return Poll::Ready(None);
            };
            if let Some(event) = self.ahead.hold_back(event) {
                return Poll::Ready(Some(event));
            }
        }
    }

    fn shutdown(&mut self, grace: Duration, limit: Duration) {
        self.machine.shutdown(grace, limit);
    }
}

impl Drop for SshVm {
    fn drop(&mut self) {
        self.proofs.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program may hand its machine to an OS on another thread.
    #[test]
    fn a_machine_may_change_its_thread() {
        fn is_send<T: Send>() {}
        is_send::<SshVm>();
    }
}
