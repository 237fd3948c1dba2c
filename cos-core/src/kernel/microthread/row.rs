//! The rows of the microthread tables: threads and waits.

use std::collections::BTreeSet;

use crate::ids::{TaskId, Tid};

/// A wait: an operation of a microthread that is not over. Each is taken ([`take`](super::Microthreads::take)) or withdrawn
/// ([`withdraw`](super::Microthreads::withdraw)) once; after that its id names nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WaitId {
    /// Waits rise by one, so the older one has the lower serial.
    pub(super) serial: u64,
    pub(super) index: usize,
}

/// Whether a child is seen by those who ask for any child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visibility {
    /// It is, as a plain spawn's child.
    Shown,
    /// Only those who name it see it: children of a task set, a dispatch, a spawner call.
    Hidden,
    /// Nobody does: its result is discarded.
    Detached,
}

/// Where a microthread's work is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Here: it has turns.
    Local,
    /// By a task of the virtual machine: it has none, and finishes when the task does. `None` until the task was
    /// accepted.
    Remote(Option<TaskId>),
}

/// What comes of a wait.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer<V> {
    /// The caller's turn has come again: after a yield or a spawn.
    Turn,
    /// A child that has finished and its value; `None` when there is none (any more) to wait for.
    Joined(Option<(Tid, V)>),
    /// What was waited for has happened elsewhere ([`resolve`](super::Microthreads::resolve)).
    Resolved,
}

/// A microthread.
#[derive(Debug)]
pub(super) struct Thread<V> {
    pub(super) parent: Tid,
    pub(super) visibility: Visibility,
    pub(super) place: Place,
    pub(super) state: ThreadState<V>,
    /// Its children, if it ever had any. Most have none, and there may be millions of them.
    pub(super) family: Option<Box<Family>>,
    /// Its parent's joins that wait for it by name, oldest first.
    pub(super) named_waits: Vec<WaitId>,
}

/// The children of a microthread.
#[derive(Default, Debug)]
pub(super) struct Family {
    /// Those whose value nobody has taken.
    pub(super) children: BTreeSet<Tid>,
    /// Those of them that are shown, finished and free to be joined.
    pub(super) finished: BTreeSet<Tid>,
    /// How many are shown.
    pub(super) shown: usize,
    /// The parent's joins that wait for any of them, oldest first.
    pub(super) any_waits: Vec<WaitId>,
}

/// What a microthread does.
#[derive(Debug)]
pub(super) enum ThreadState<V> {
    /// It has turns, or its task runs.
    Live(Woken),
    /// It has ended with this value and is free to be joined.
    Finished(V),
    /// It has ended with this value, which a join has not yet taken.
    Bound(V),
}

/// Whether a microthread has a turn coming for a wake-up from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Woken {
    No,
    Yes,
}

/// A wait.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) serial: u64,
    pub(super) tid: Tid,
    pub(super) state: WaitState,
}

/// How far a wait has come.
#[derive(Debug)]
pub(super) enum WaitState {
    /// For any shown child.
    Any,
    /// For one of these children.
    Named(Vec<Tid>),
    /// For something elsewhere.
    Elsewhere,
    /// It is decided, and its thread's turn is in the ready queue.
    Queued(Decision),
    /// That turn has come.
    Due(Decision),
}

/// What a wait is answered with. The value of a child stays in its row until it is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Decision {
    Turn,
    Joined(Option<Tid>),
    Resolved,
}

impl<V> Thread<V> {
    pub(super) fn new(parent: Tid, visibility: Visibility, place: Place, woken: Woken) -> Self {
        Self {
            parent,
            visibility,
            place,
            state: ThreadState::Live(woken),
            family: None,
            named_waits: Vec::new(),
        }
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, ThreadState::Live(_))
    }
}
