//! Checks of the microthread tables against each other, after each step of a test.

use super::row::{Decision, Family, Place, ThreadState, Visibility, WaitState, Woken};
use super::{MAIN, Microthreads};

impl<V> Microthreads<V> {
    /// Panics where two tables contradict each other. Between any two calls they never do.
    pub fn check(&self) {
        let (mut local, mut remote, mut free) = (0, 0, 0);
        for (tid, thread) in &self.threads {
            match (&thread.state, thread.place) {
                (ThreadState::Live(_), Place::Local) => local += 1,
                (ThreadState::Live(_), Place::Remote(_)) => remote += 1,
                (ThreadState::Finished(_), _) => {
                    assert!(thread.family.is_none(), "{tid} has ended");
                    assert!(thread.named_waits.is_empty(), "{tid} was offered");
                }
                (ThreadState::Bound(_), _) => {
                    assert!(thread.family.is_none(), "{tid} has ended");
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
                let parent = self.family(thread.parent).expect("a child has a parent");
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
            if let Some(family) = &thread.family {
                self.check_family(family);
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

    fn check_family(&self, family: &Family) {
        let shown = family.children.iter();
        let shown = shown.filter(|child| self.threads[*child].visibility == Visibility::Shown);
        assert_eq!(shown.count(), family.shown, "shown children");
        let waits = !family.any_waits.is_empty();
        assert!(family.shown > 0 || !waits, "nobody waits for nothing");
        assert!(
            family.finished.is_empty() || !waits,
            "nobody waits for what there is"
        );
        for id in &family.any_waits {
            assert!(matches!(self.waits[id.index].state, WaitState::Any));
        }
    }
}
