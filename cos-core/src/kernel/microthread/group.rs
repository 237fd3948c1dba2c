//! Groups: children that are joined as one, and families, which are lists of rows.

use super::finished::Finished;
use super::row::{Decision, GroupId, Row, Visibility, WaitList};
use super::{Microthreads, Thread};
use crate::ids::Tid;

/// Children of which whoever asks gets any: the shown ones of one microthread, or those of a task set or a dispatch.
#[derive(Default, Debug)]
pub(super) struct Group {
    /// Those that have finished and are free to be joined.
    pub(super) finished: Finished,
    /// How many there are that nobody has joined.
    pub(super) members: usize,
    /// The joins that wait for any of them, oldest first.
    pub(super) waits: WaitList,
}

impl<V> Microthreads<V> {
    /// A group without children, for [`Visibility::Grouped`].
    pub fn open_group(&mut self) -> GroupId {
        GroupId(self.groups.insert(Group::default()))
    }

    /// Ends a group: those of its children that are left are nobody's any more, as after [`detach`](Self::detach), and joins
    /// that wait for any of them get none. The caller has detached or cancelled the children before, or this costs a look
    /// at each.
    pub fn close_group(&mut self, id: GroupId) {
        let Some(group) = self.groups.try_remove(id.0) else {
            return;
        };
        for wait in group.waits.as_slice() {
            self.decide(*wait, Decision::Joined(None));
        }
        if group.members > 0 {
            let rows = self.rows.iter_mut();
            for (_, thread) in rows.filter(|(_, thread)| thread.group == Some(id)) {
                thread.group = None;
                thread.visibility = Visibility::Hidden;
            }
        }
    }

    /// How many children of a group have finished and are free to be joined.
    pub fn finished_in(&self, id: GroupId) -> usize {
        let group = self.groups.get(id.0);
        group.map_or(0, |group| group.finished.len())
    }

    /// The group that a child of `parent` is to be in.
    pub(super) fn group_of(&mut self, parent: Row, visibility: Visibility) -> Option<GroupId> {
        match visibility {
            Visibility::Grouped(group) => self.groups.contains(group.0).then_some(group),
            Visibility::Hidden | Visibility::Detached => None,
            Visibility::Shown => {
                let known = self.rows.get(parent.0)?.own_group;
                if known.is_none() {
                    let group = self.open_group();
                    self.rows[parent.0].own_group = Some(group);
                    return Some(group);
                }
                known
            }
        }
    }

    /// A child of a group is gone. Joins that wait for any of none get no child.
    pub(super) fn one_less(&mut self, id: GroupId) {
        let Some(group) = self.groups.get_mut(id.0) else {
            return;
        };
        group.members -= 1;
        if group.members == 0 {
            let waits = std::mem::take(&mut group.waits);
            for wait in waits.as_slice() {
                self.decide(*wait, Decision::Joined(None));
            }
        }
    }

    /// A child has finished and is free to be joined.
    pub(super) fn note_free(&mut self, tid: Tid, row: Row) {
        let thread = &self.rows[row.0];
        self.finished += usize::from(thread.visibility == Visibility::Shown);
        if let Some(group) = thread.group
            && let Some(group) = self.groups.get_mut(group.0)
        {
            group.finished.insert(tid, row);
        }
    }

    /// A child that has finished is not free any more.
    pub(super) fn note_not_free(&mut self, tid: Tid, row: Row) {
        let thread = &self.rows[row.0];
        self.finished -= usize::from(thread.visibility == Visibility::Shown);
        if let Some(group) = thread.group
            && let Some(group) = self.groups.get_mut(group.0)
        {
            group.finished.remove(tid);
        }
    }

    /// Puts a new child behind its older siblings.
    pub(super) fn link(&mut self, row: Row, parent: Row) {
        let older = self.rows[parent.0].youngest_child.replace(row);
        match older {
            Some(older) => self.rows[older.0].younger_sibling = Some(row),
            None => self.rows[parent.0].oldest_child = Some(row),
        }
        self.rows[row.0].older_sibling = older;
    }

    /// Takes a child, whose row is gone, from its siblings.
    pub(super) fn unlink(&mut self, thread: &Thread<V>) {
        let (older, younger) = (thread.older_sibling, thread.younger_sibling);
        let Some(parent) = thread.parent_row else {
            return;
        };
        match older {
            Some(older) => self.rows[older.0].younger_sibling = younger,
            None => self.rows[parent.0].oldest_child = younger,
        }
        match younger {
            Some(younger) => self.rows[younger.0].older_sibling = older,
            None => self.rows[parent.0].youngest_child = older,
        }
    }

    /// The children of a microthread, in the order of their birth.
    pub(super) fn children(&self, thread: &Thread<V>) -> impl Iterator<Item = (Row, &Thread<V>)> {
        let mut next = thread.oldest_child;
        std::iter::from_fn(move || {
            let row = next?;
            let child = self.rows.get(row.0)?;
            next = child.younger_sibling;
            Some((row, child))
        })
    }
}
