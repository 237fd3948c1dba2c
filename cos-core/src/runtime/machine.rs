//! The machine of a running OS: how it is set, replaced and put away.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

use thiserror::Error;

use super::backend::{Backend, Outsourcing};
use super::context::{self, NoOs};
use super::shared::Shared;
use crate::clock;
use crate::vm::VirtualMachine;

/// Why the machine cannot be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SetVmError {
    /// Remote tasks run on the present one.
    #[error("the virtual machine cannot be changed while {0} remote tasks run")]
    InUse(usize),
    /// This is a task, whose remote tasks its spawner runs.
    #[error("a task has no virtual machine of its own: its spawner runs what it spawns")]
    InTask,
    /// There is no OS here.
    #[error(transparent)]
    NoOs(#[from] NoOs),
}

/// Gives the OS the machine that remote tasks run on from now on, and puts the former one away.
///
/// Its hosts are connected in the background; tasks wait for the first that is ready.
///
/// # Errors
/// [`SetVmError`].
pub fn set_vm(machine: impl VirtualMachine + 'static) -> Result<(), SetVmError> {
    let os = context::current()?;
    if os
        .inner
        .borrow()
        .backend
        .as_ref()
        .is_some_and(|it| it.is_link())
    {
        return Err(SetVmError::InTask);
    }
    let running = os.inner.borrow().threads.remote_count();
    if running > 0 {
        return Err(SetVmError::InUse(running));
    }
    os.retire_machine();
    os.use_machine(Box::new(machine));
    Ok(())
}

/// Puts the machine away: ends everything on its hosts, remote tasks included, and waits until they have confirmed that or
/// the OS's shutdown limit has passed. Remote tasks are local from then on, unless [`set_vm`] gives another machine.
///
/// An OS does so by itself when its program ends. Without a machine, or without an OS, there is nothing to do.
pub async fn finalize() {
    let Ok(os) = context::current() else { return };
    os.retire_machine();
    let Ok(mut wait) = os.wait(|threads, tid| threads.open_wait(tid)) else {
        return;
    };
    {
        let inner = &mut *os.inner.borrow_mut();
        inner.retirement_waits.push(wait.id());
        inner.wake();
    }
    std::future::poll_fn(|context| wait.poll(context)).await;
}

impl Shared {
    /// Starts a machine's hosts.
    pub(super) fn use_machine(self: &Rc<Self>, machine: Box<dyn VirtualMachine>) {
        let backend = Outsourcing::start(self.config.clone(), machine, clock::now());
        let inner = &mut *self.inner.borrow_mut();
        inner.host_names = names(&backend);
        inner.backend = Some(Box::new(backend));
        inner.wake();
    }

    /// Begins to end the machine, if there is one.
    pub(super) fn retire_machine(&self) {
        {
            let inner = &mut *self.inner.borrow_mut();
            let Some(mut backend) = inner.backend.take() else {
                return;
            };
            backend.shut_down(self.grace, self.shutdown_limit, clock::now());
            // Its tasks are told their ends before it is put away.
            inner.backend = Some(backend);
        }
        self.carry_out();
        self.with(|inner| {
            let backend = inner.backend.take();
            inner.retired.extend(backend);
            inner.host_names.clear();
            inner.cancel_remote();
            inner.wake_for_room();
            inner.wake();
        });
    }

    /// Takes the last events of machines that were put away; true when there are none any more.
    pub(super) fn poll_retired(&self, context: &mut Context<'_>) -> bool {
        while self.poll_backend(context) {}
        self.inner.borrow().retired.is_empty()
    }
}

fn names(backend: &dyn Backend) -> Vec<Arc<str>> {
    let hosts = backend.hosts().iter();
    hosts.map(|host| host.name.as_str().into()).collect()
}
