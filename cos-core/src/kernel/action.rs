//! What the kernel asks its caller to do.

use bytes::Bytes;

use crate::event::RunEvent;
use crate::ids::AttemptId;
use crate::vm::VmCommand;

/// Something to be done, in the order in which the kernel gives it.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Hand this to the virtual machine.
    Vm(VmCommand),
    /// Tell the observers. Every task that was submitted has exactly one [`RunEvent::TaskEnded`], which is also how
    /// its submitter learns the outcome.
    Emit(RunEvent),
    /// A task that runs says this to the runtime; see [`Kernel::tell`](super::Kernel::tell) for the answer.
    Deliver {
        /// The attempt that says it.
        attempt: AttemptId,
        /// What, as the two runtimes understand it.
        bytes: Bytes,
    },
}
