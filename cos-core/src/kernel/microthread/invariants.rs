//! Checks of the microthread tables against each other, after each step of a test.

use super::row::{Decision, Place, Row, ThreadState, Visibility, WaitState, Woken};
use super::{MAIN, Microthreads, Ready};

impl<V> Microthreads<V> {
    /// Panics where two tables contradict each other. Between any two calls they never do.
    pub fn check(&self) {
        let (mut local, mut remote, mut busy, mut free) = (0, 0, 0, 0);
        assert_eq!(self.rows.len(), self.index.len(), "each row has a tid");
        for (row, thread) in &self.rows {
            let (row, tid) = (Row(row), thread.tid);
            assert_eq!(self.index.get(&tid), Some(&row), "{tid} is found");
            match (&thread.state, thread.place) {
                (ThreadState::Live(_), Place::Local) => {
                    local += 1;
                    busy += usize::from(thread.open_waits == 0);
                }
                (ThreadState::Live(_), Place::Remote(_)) => remote += 1,
                (ThreadState::Finished(_), _) => {
                    assert!(thread.oldest_child.is_none(), "{tid} has ended");
                    assert!(
                        thread.named_waits.as_slice().is_empty(),
                        "{tid} was offered"
                    );
                }
                (ThreadState::Bound(_), _) => {
                    assert!(thread.oldest_child.is_none(), "{tid} has ended");
                }
            }
            if let ThreadState::Live(woken) = &thread.state {
                let turns = self.ready.iter();
                let turns =
                    turns.filter(|turn| matches!(turn, Ready::Thread(thread) if thread.tid == tid));
                assert_eq!(
                    turns.count(),
                    usize::from(*woken == Woken::Yes),
                    "turns of {tid}"
                );
                let open = self.waits.iter();
                let open = open.filter(|(_, wait)| wait.tid == tid && wait.state.is_open());
                assert_eq!(open.count(), thread.open_waits as usize, "waits of {tid}");
            }
            if tid != MAIN {
                let parent = thread.parent_row.expect("a child has a parent");
                let parent = &self.rows[parent.0];
                assert_eq!(parent.tid, thread.parent);
                let siblings = self.children(parent);
                assert_eq!(siblings.filter(|(sibling, _)| *sibling == row).count(), 1);
                let is_free = matches!(thread.state, ThreadState::Finished(_));
                if thread.visibility == Visibility::Shown {
                    assert_eq!(thread.group, parent.own_group, "{tid} is shown");
                    free += usize::from(is_free);
                }
                if let Some(group) = thread.group {
                    let group = &self.groups[group.0];
                    assert_eq!(group.finished.tids().contains(&tid), is_free, "{tid}");
                }
            }
            for id in thread.named_waits.as_slice() {
                match &self.waits[id.index].state {
                    WaitState::One(child) => assert_eq!(*child, tid),
                    WaitState::Named(children) => assert!(children.contains(&tid)),
                    other => panic!("{id:?} is {other:?}"),
                }
            }
        }
        assert_eq!((local, remote), (self.live_local, self.live_remote));
        assert_eq!((busy, free), (self.busy, self.finished));
        self.check_groups();
        for (_, wait) in &self.waits {
            if let WaitState::Queued(Decision::Joined(Some(child)))
            | WaitState::Due(Decision::Joined(Some(child))) = wait.state
                && let Some((_, child)) = self.thread(child.tid)
            {
                assert!(matches!(child.state, ThreadState::Bound(_)));
            }
        }
    }

    fn check_groups(&self) {
        for (id, group) in &self.groups {
            let members = self.rows.iter();
            let members =
                members.filter(|(_, thread)| thread.group.is_some_and(|group| group.0 == id));
            assert_eq!(members.count(), group.members, "members of group {id}");
            let waits = group.waits.as_slice();
            assert!(
                group.members > 0 || waits.is_empty(),
                "nobody waits for nothing"
            );
            assert!(
                group.finished.is_empty() || waits.is_empty(),
                "nobody waits for what there is"
            );
            for wait in waits {
                let state = &self.waits[wait.index].state;
                assert!(matches!(state, WaitState::Any(group) if group.0 == id));
            }
        }
    }
}
