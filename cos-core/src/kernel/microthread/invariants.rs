//! Checks of the microthread tables against each other, after each step of a test.

use super::row::{Decision, Place, ThreadState, Visibility, WaitState, Woken};
use super::{MAIN, Microthreads};

impl<V> Microthreads<V> {
    /// Panics where two tables contradict each other. Between any two calls they never do.
    pub fn check(&self) {
        let (mut local, mut remote, mut free) = (0, 0, 0);
        for (tid, thread) in &self.threads {
            let parent = self.threads.get(&thread.parent);
            match (&thread.state, thread.place) {
                (ThreadState::Live(_), Place::Local) => local += 1,
                (ThreadState::Live(_), Place::Remote(_)) => remote += 1,
                (ThreadState::Finished(_), _) => {
                    assert!(thread.children.is_empty(), "{tid} has ended");
                    assert!(thread.named_waits.is_empty(), "{tid} was offered");
                }
                (ThreadState::Bound(_), _) => {
                    assert!(thread.children.is_empty(), "{tid} has ended");
                }
            }
            if let ThreadState::Live(woken) = &thread.state {
                let turns = self.ready.iter();
                let turns = turns.filter(|turn| turn.tid == *tid && turn.wait.is_none());
                assert_eq!(
                    turns.count(),
                    usize::from(*woken == Woken::Yes),
                    "turns of {tid}"
                );
            }
            if *tid != MAIN {
                let parent = parent.expect("a child has a parent");
                assert!(parent.children.contains(tid), "{tid} is a child");
                let is_free = matches!(thread.state, ThreadState::Finished(_));
                let shown = thread.visibility == Visibility::Shown;
                assert_eq!(
                    parent.finished.contains(tid),
                    is_free && shown,
                    "{tid} is free"
                );
                free += usize::from(is_free && shown);
            }
            let shown = thread.children.iter();
            let shown = shown.filter(|child| self.threads[*child].visibility == Visibility::Shown);
            assert_eq!(shown.count(), thread.shown, "shown children of {tid}");
            assert!(
                thread.shown > 0 || thread.any_waits.is_empty(),
                "{tid} waits for nothing"
            );
            assert!(
                thread.any_waits.is_empty() || thread.finished.is_empty(),
                "{tid} waits for what it has"
            );
            for id in &thread.any_waits {
                assert!(matches!(self.waits[id.index].state, WaitState::Any));
            }
            for id in &thread.named_waits {
                match &self.waits[id.index].state {
                    WaitState::Named(children) => assert!(children.contains(tid)),
                    other => panic!("{id:?} is {other:?}"),
                }
            }
        }
        assert_eq!((local, remote), (self.live_local, self.live_remote));
        assert_eq!(free, self.finished);
        for (_, wait) in &self.waits {
            if let WaitState::Queued(Decision::Joined(Some(child)))
            | WaitState::Due(Decision::Joined(Some(child))) = wait.state
                && let Some(child) = self.threads.get(&child)
            {
                assert!(matches!(child.state, ThreadState::Bound(_)));
            }
        }
    }
}
