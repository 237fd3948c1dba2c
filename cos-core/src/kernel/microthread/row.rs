//! The rows of the microthread tables: threads and waits.

use crate::ids::{TaskId, Tid};

/// A wait: an operation of a microthread that is not over. Each is taken ([`take`](super::Microthreads::take)) or withdrawn
/// ([`withdraw`](super::Microthreads::withdraw)) once; after that its id names nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WaitId {
    /// Waits rise by one, so the older one has the lower serial.
    pub(super) serial: u64,
    pub(super) index: usize,
}

/// The position of a microthread among those that there are. It stays while the microthread does, and is used again
/// afterwards: what a caller keeps for each microthread can lie in a vector.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Row(pub(super) usize);

impl Row {
    /// The position as an index.
    pub fn index(self) -> usize {
        self.0
    }
}

/// A microthread that was just made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Child {
    /// Its tid.
    pub tid: Tid,
    /// Its position.
    pub row: Row,
}

/// Children that are joined as one: whoever waits for any of them gets the first that finishes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupId(pub(super) usize);

/// Who sees a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visibility {
    /// Those who ask for any child of its parent's, as of a plain spawn's.
    Shown,
    /// Those who ask for any child of this group: a task set, a dispatch.
    Grouped(GroupId),
    /// Only those who name it.
    Hidden,
    /// Nobody: its result is discarded.
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
    pub(super) tid: Tid,
    pub(super) parent: Tid,
    /// Where its parent is, which lives at least as long; `None` for main.
    pub(super) parent_row: Option<Row>,
    pub(super) place: Place,
    pub(super) state: ThreadState<V>,
    pub(super) visibility: Visibility,
    /// The group that it is in.
    pub(super) group: Option<GroupId>,
    /// Joins that wait for it by name, oldest first.
    pub(super) named_waits: WaitList,
    /// The turn that it waits for without a wait.
    pub(super) own_turn: OwnTurn,
    /// How many of its own waits are not decided.
    pub(super) open_waits: u32,
    pub(super) older_sibling: Option<Row>,
    pub(super) younger_sibling: Option<Row>,
    /// Its children whose value nobody has taken.
    pub(super) oldest_child: Option<Row>,
    pub(super) youngest_child: Option<Row>,
    /// The group of its shown children, if it ever had any.
    pub(super) own_group: Option<GroupId>,
}

/// A turn that a microthread waits for without a wait, by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OwnTurn {
    None,
    /// It is in the ready queue.
    Queued(u64),
    /// It has come.
    Due(u64),
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
    /// Where its microthread is, or was.
    pub(super) row: Row,
    /// Whether it is a handle's: the handle may outlive the interest in it.
    pub(super) of_handle: bool,
    pub(super) state: WaitState,
}

/// How far a wait has come.
#[derive(Debug)]
pub(super) enum WaitState {
    /// For any child of a group.
    Any(GroupId),
    /// For this child.
    One(Tid),
    /// For one of these children.
    Named(Vec<Tid>),
    /// For something elsewhere.
    Elsewhere,
    /// It is decided, and its thread's turn is in the ready queue.
    Queued(Decision),
    /// That turn has come.
    Due(Decision),
    /// It has passed without anybody taking this child, which is free again.
    Passed(Child),
}

impl WaitState {
    pub(super) fn is_open(&self) -> bool {
        !matches!(self, Self::Queued(_) | Self::Due(_) | Self::Passed(_))
    }
}

/// What a wait is answered with. The value of a child stays in its row until it is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Decision {
    Turn,
    Joined(Option<Child>),
    Resolved,
}

/// The waits for one thing, oldest first: nearly always none or one, which takes no memory of its own.
#[derive(Default, Debug)]
pub(super) enum WaitList {
    #[default]
    Empty,
    One(WaitId),
    Several(Vec<WaitId>),
}

impl WaitList {
    pub(super) fn as_slice(&self) -> &[WaitId] {
        match self {
            Self::Empty => &[],
            Self::One(id) => std::slice::from_ref(id),
            Self::Several(ids) => ids,
        }
    }

    pub(super) fn oldest(&self) -> Option<WaitId> {
        self.as_slice().first().copied()
    }

    pub(super) fn push(&mut self, id: WaitId) {
        match self {
            Self::Empty => *self = Self::One(id),
            Self::One(first) => *self = Self::Several(vec![*first, id]),
            Self::Several(ids) => ids.push(id),
        }
    }

    pub(super) fn remove(&mut self, id: WaitId) {
        match self {
            Self::Empty => {}
            Self::One(first) => {
                if *first == id {
                    *self = Self::Empty;
                }
            }
            Self::Several(ids) => ids.retain(|other| *other != id),
        }
    }
}
