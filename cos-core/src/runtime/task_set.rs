//! `TaskSet`: children of one type, joined as they finish, cancelled together.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::context;
use super::shared::Shared;
use super::spawn::{Spawn, SpawnError, Spawnable, Spawning, spawn};
use super::wait::Wait;
use crate::ids::Tid;
use crate::job::TaskError;
use crate::kernel::microthread::{Answer, GroupId, Visibility};

/// Children that end with a `T`, of which [`join_next`](Self::join_next) gives the next that has finished. Other joins do not
/// see them. Dropping the set cancels those that have not finished, remote ones too.
///
/// ```
/// # cos_core::Os::new().block_on(async {
/// let mut set = cos_core::TaskSet::new();
/// for n in 1..=3 {
///     set.spawn(async move { n * n }).await?;
/// }
/// let mut sum = 0;
/// while let Some((_, square)) = set.join_next().await {
///     sum += square?;
/// }
/// assert_eq!(sum, 14);
/// # Ok::<_, cos_core::Error>(())
/// # }).unwrap().unwrap();
/// ```
pub struct TaskSet<T> {
    group: Option<Group>,
    value: PhantomData<fn() -> T>,
}

/// A group of children, and all of them.
struct Group {
    os: Rc<Shared>,
    id: GroupId,
    tids: BTreeSet<Tid>,
}

impl<T> Default for TaskSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> TaskSet<T> {
    /// An empty set.
    pub fn new() -> Self {
        Self {
            group: None,
            value: PhantomData,
        }
    }

    /// How many children were spawned and not joined.
    pub fn len(&self) -> usize {
        self.group.as_ref().map_or(0, |group| group.tids.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: 'static> TaskSet<T> {
    /// Spawns a future, a job or a [spawn](crate::spawn()) with its options, and gives its tid. Dropping the future cancels
    /// the child.
    ///
    /// # Errors
    /// As [`spawn`](crate::spawn()).
    pub async fn spawn<W: IntoSpawn<Output = T>>(&mut self, work: W) -> Result<Tid, SpawnError> {
        let group = match &mut self.group {
            Some(group) => group,
            none => none.insert(Group::open()?),
        };
        let handle = work.grouped(Visibility::Grouped(group.id)).await?;
        group.tids.insert(handle.tid());
        Ok(handle.tid())
    }

    /// The child that finishes next, of those that have finished the one with the lowest tid; `None` when the set is empty.
    /// The caller goes behind the ready queue in every case. Dropping the future gives nothing up.
    pub fn join_next(&mut self) -> JoinNext<'_, T> {
        JoinNext {
            set: self,
            wait: None,
        }
    }
}

impl Group {
    fn open() -> Result<Self, SpawnError> {
        let os = context::current()?;
        let id = os.inner.borrow_mut().threads.open_group();
        let tids = BTreeSet::new();
        Ok(Self { os, id, tids })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.tids.is_empty() {
            let tids = std::mem::take(&mut self.tids);
            self.os.cancel_children(tids.into_iter());
        }
        self.os.with(|inner| inner.threads.close_group(self.id));
    }
}

/// What a [`TaskSet`] can spawn: what [`spawn`](crate::spawn()) can, and what that gives. Sealed in effect.
pub trait IntoSpawn {
    /// What the microthread ends with.
    type Output: 'static;

    #[doc(hidden)]
    fn grouped(self, visibility: Visibility) -> Spawning<Self::Output>;
}

impl<W: Spawnable> IntoSpawn for W {
    type Output = W::Output;

    fn grouped(self, visibility: Visibility) -> Spawning<W::Output> {
        spawn(self).visible(visibility)
    }
}

impl<W: Spawnable> IntoSpawn for Spawn<W> {
    type Output = W::Output;

    fn grouped(self, visibility: Visibility) -> Spawning<W::Output> {
        self.visible(visibility)
    }
}

/// A join that is awaited. See [`TaskSet::join_next`].
#[must_use = "nothing is joined before this is awaited"]
pub struct JoinNext<'a, T> {
    set: &'a mut TaskSet<T>,
    wait: Option<Wait>,
}

impl<T: 'static> Future for JoinNext<'_, T> {
    type Output = Option<(Tid, Result<T, TaskError>)>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(group) = &mut this.set.group else {
            return Poll::Ready(None);
        };
        let wait = match &mut this.wait {
            Some(wait) => wait,
            none => {
                let id = group.id;
                match group.os.wait(|threads, tid| threads.join_group(tid, id)) {
                    Ok(wait) => none.insert(wait),
                    Err(_) => return Poll::Ready(None),
                }
            }
        };
        let Poll::Ready(answer) = wait.poll(context) else {
            return Poll::Pending;
        };
        this.wait = None;
        let Answer::Joined(Some((tid, ending))) = answer else {
            // Those that are left ended with the microthread that had spawned them.
            group.tids.clear();
            return Poll::Ready(None);
        };
        group.tids.remove(&tid);
        let result = group.os.result(tid, ending);
        Poll::Ready(Some((tid, result)))
    }
}

impl<T> fmt::Debug for TaskSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tids = self.group.iter().flat_map(|group| &group.tids);
        f.debug_set().entries(tids).finish()
    }
}
