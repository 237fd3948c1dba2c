//! How microthreads end: by themselves, with their parent, or because nobody wants them any more.

use super::row::{Place, Row, Thread, ThreadState, Visibility};
use super::{MAIN, Microthreads, Orphan};
use crate::ids::Tid;

impl<V> Microthreads<V> {
    /// A microthread has ended, and its future was dropped. Its value waits for a join, or goes to one that waits. Its own
    /// children are orphans and end here: the caller drops their futures and cancels their tasks.
    pub fn finish(&mut self, tid: Tid, value: V) -> Vec<Orphan> {
        let Some((row, thread)) = self.thread_mut(tid).filter(|(_, thread)| thread.is_live())
        else {
            self.discarded.push(value);
            return Vec::new();
        };
        thread.state = ThreadState::Finished(value);
        let (visibility, place, idle) = (thread.visibility, thread.place, thread.open_waits > 0);
        self.count_out(place, idle);
        let orphans = self.remove_children(row);
        if visibility == Visibility::Detached || tid == MAIN {
            self.discard(tid, row);
        } else if !self.hand_over(tid, row) {
            self.note_free(tid, row);
        }
        orphans
    }

    /// Ends a microthread that is not wanted any more, with its children: they are all orphans, itself among them if it had
    /// not finished. Whoever waits for it by name does without it.
    pub fn cancel(&mut self, tid: Tid) -> Vec<Orphan> {
        let Some((row, thread)) = self.thread(tid) else {
            return Vec::new();
        };
        if !thread.is_live() {
            self.detach(tid);
            return Vec::new();
        }
        let (place, idle) = (thread.place, thread.open_waits > 0);
        let mut orphans = vec![Orphan { tid, row, place }];
        self.count_out(place, idle);
        orphans.append(&mut self.remove_children(row));
        self.remove(tid, row);
        orphans
    }

    /// Discards a child's result, now or when it ends. Joins that wait for the child by name do without it.
    pub fn detach(&mut self, tid: Tid) {
        let Some((row, thread)) = self.thread_mut(tid) else {
            return;
        };
        match thread.state {
            ThreadState::Bound(_) => {}
            ThreadState::Live(_) => {
                thread.visibility = Visibility::Detached;
                let group = thread.group.take();
                self.lose_named_waits(tid);
                if let Some(group) = group {
                    self.one_less(group);
                }
            }
            ThreadState::Finished(_) => {
                self.note_not_free(tid, row);
                self.discard(tid, row);
            }
        }
    }

    /// Removes all descendants of a microthread, each after its parent, those of one parent by age.
    fn remove_children(&mut self, row: Row) -> Vec<Orphan> {
        let mut orphans = Vec::new();
        let parent = &mut self.rows[row.0];
        parent.youngest_child = None;
        let group = parent.own_group.take();
        let mut families = vec![(parent.oldest_child.take(), group)];
        // Later families are looked at in the order in which they were found.
        let mut looked_at = 0;
        while let Some((oldest, group)) = families.get(looked_at).copied() {
            looked_at += 1;
            let mut next = oldest;
            while let Some(row) = next {
                let thread = self.rows.remove(row.0);
                next = thread.younger_sibling;
                self.index.remove(&thread.tid);
                self.lose(thread.tid, thread.named_waits.as_slice());
                if thread.is_live() {
                    self.count_out(thread.place, thread.open_waits > 0);
                    let (tid, place) = (thread.tid, thread.place);
                    orphans.push(Orphan { tid, row, place });
                    if thread.oldest_child.is_some() || thread.own_group.is_some() {
                        families.push((thread.oldest_child, thread.own_group));
                    }
                }
                self.leave_group(&thread);
                if let ThreadState::Finished(value) | ThreadState::Bound(value) = thread.state {
                    self.discarded.push(value);
                }
            }
            if let Some(group) = group {
                self.groups.remove(group.0);
            }
        }
        orphans
    }

    /// A microthread whose row is gone is in no group any more.
    fn leave_group(&mut self, thread: &Thread<V>) {
        if let ThreadState::Finished(_) = thread.state {
            self.finished -= usize::from(thread.visibility == Visibility::Shown);
            if let Some(group) = thread.group.and_then(|group| self.groups.get_mut(group.0)) {
                group.finished.remove(thread.tid);
            }
        }
        if let Some(group) = thread.group {
            self.one_less(group);
        }
    }

    /// A microthread has ended whose value nobody wants.
    fn discard(&mut self, tid: Tid, row: Row) {
        if let Some(thread) = self.remove(tid, row)
            && let ThreadState::Finished(value) = thread.state
        {
            self.discarded.push(value);
        }
    }

    /// A microthread that has ended leaves its family. Joins that waited for it do without it.
    pub(super) fn remove(&mut self, tid: Tid, row: Row) -> Option<Thread<V>> {
        let thread = self.rows.try_remove(row.0)?;
        self.index.remove(&tid);
        self.lose(tid, thread.named_waits.as_slice());
        self.unlink(&thread);
        if let Some(group) = thread.group {
            self.one_less(group);
        }
        if let Some(group) = thread.own_group {
            self.groups.try_remove(group.0);
        }
        Some(thread)
    }

    fn count_out(&mut self, place: Place, idle: bool) {
        match place {
            Place::Local => {
                self.live_local -= 1;
                self.busy -= usize::from(!idle);
            }
            Place::Remote(_) => self.live_remote -= 1,
        }
    }
}
