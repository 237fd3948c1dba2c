//! Task sets: joined as they finish, seen by nobody else, cancelled together.

use std::rc::Rc;

use cos_core::{TaskSet, join, spawn, task_count, yield_now};

use super::run;

async fn after(yields: u32, value: u32) -> u32 {
    for _ in 0..yields {
        yield_now().await;
    }
    value
}

#[test]
fn children_are_joined_as_they_finish() {
    run(async {
        let mut set = TaskSet::new();
        assert!(set.is_empty());
        assert!(set.join_next().await.is_none());
        for n in 0..5 {
            set.spawn(after(30 - 5 * n, n)).await.unwrap();
        }
        assert_eq!(set.len(), 5);
        let mut order = Vec::new();
        while let Some((_, value)) = set.join_next().await {
            order.push(value.unwrap());
        }
        assert_eq!(order, [4, 3, 2, 1, 0]);
        assert!(set.is_empty());
    });
}

#[test]
fn other_joins_do_not_see_them() {
    run(async {
        let mut set = TaskSet::new();
        set.spawn(spawn(after(0, 1))).await.unwrap();
        assert!(join(&[]).await.is_none());
        assert_eq!(set.join_next().await.unwrap().1.unwrap(), 1);
    });
}

#[test]
fn a_dropped_set_cancels_its_children() {
    run(async {
        let alive = Rc::new(());
        let mut set = TaskSet::new();
        for _ in 0..3 {
            let alive = Rc::clone(&alive);
            let endless = async move {
                let _alive = alive;
                loop {
                    yield_now().await;
                }
            };
            set.spawn(endless).await.unwrap();
        }
        let finished = Rc::clone(&alive);
        assert_eq!(task_count(), 4);
        drop(set);
        assert_eq!(task_count(), 1);
        assert_eq!(Rc::strong_count(&alive), 2, "their futures are gone");
        drop(finished);
        let _: TaskSet<()> = TaskSet::default();
    });
}

#[test]
fn a_set_may_be_dropped_by_its_own_child() {
    run(async {
        let (sender, receiver) = tokio::sync::oneshot::channel::<TaskSet<()>>();
        let mut set = TaskSet::new();
        let child = async move {
            let own = receiver.await.unwrap();
            drop(own);
            // Its turn goes on to the next wait, and is the last.
            yield_now().await;
            unreachable!("it was cancelled");
        };
        set.spawn(child).await.unwrap();
        sender.send(set).unwrap();
        for _ in 0..5 {
            yield_now().await;
        }
        assert_eq!(task_count(), 1);
    });
}

#[test]
fn a_dropped_join_next_loses_nothing() {
    run(async {
        let mut set = TaskSet::new();
        set.spawn(after(2, 9)).await.unwrap();
        for _ in 0..3 {
            tokio::select! {
                biased;
                _ = set.join_next() => panic!("not yet"),
                () = yield_now() => {}
            }
            if task_count() == 1 {
                break;
            }
        }
        assert_eq!(set.join_next().await.unwrap().1.unwrap(), 9);
    });
}
