//! Handles, joins by tid, values of known and unknown type, and what is told about microthreads.

use cos_core::ids::Tid;
use cos_core::job::TaskError;
use cos_core::kernel::microthread;
use cos_core::runtime::JoinError;
use cos_core::{
    TaskStatus, ValueError, join, join_checked, local_task_count, remote_task_count, spawn,
    task_count, task_info, tid, try_join, yield_now,
};

use super::run;

#[test]
fn tids_ascend_from_main_s() {
    run(async {
        assert_eq!(tid(), Tid(1));
        let child = spawn(async { tid() }).await.unwrap();
        assert_eq!(child.tid(), Tid(2));
        assert_eq!(child.await.unwrap(), Tid(2));
        assert_eq!(spawn(async {}).await.unwrap().tid(), Tid(3));
    });
    assert_eq!(tid(), Tid(0), "no microthread runs here");
}

#[test]
fn values_are_of_the_type_that_the_child_ends_with() {
    run(async {
        spawn(async { "text".to_owned() }).await.unwrap();
        let (_, value) = join(&[]).await.unwrap();
        assert_eq!(value.get::<String>().unwrap(), "text");
        spawn(async { 7_u32 }).await.unwrap();
        let (_, value) = join(&[]).await.unwrap();
        assert_eq!(value.host_id(), None);
        let error = value.get::<u64>().unwrap_err();
        assert_eq!(error.to_string(), "the result is u32, not u64");
        assert!(matches!(error, ValueError::Type { .. }));
    });
}

#[test]
fn a_handle_that_was_joined_by_tid_says_so() {
    run(async {
        let handle = spawn(async { 1 }).await.unwrap();
        let tid = handle.tid();
        assert!(join(&[tid]).await.is_some());
        assert_eq!(handle.await, Err(TaskError::AlreadyJoined { tid }));
    });
}

#[test]
fn a_dropped_handle_is_joinable_and_a_detached_one_is_not() {
    run(async {
        let tid = spawn(async { 1 }).await.unwrap().tid();
        assert_eq!(join(&[]).await.unwrap().0, tid);
        spawn(async { 2 }).await.unwrap().detach();
        let yields = async {
            for _ in 0..9 {
                yield_now().await;
            }
        };
        spawn(yields).await.unwrap().detach();
        assert!(join(&[]).await.is_none());
        assert_eq!(task_count(), 2, "the detached one goes on");
        for _ in 0..12 {
            yield_now().await;
        }
        assert_eq!(task_count(), 1);
    });
}

#[test]
fn invalid_tids_are_skipped_or_errors() {
    run(async {
        let mine = spawn(async {}).await.unwrap().tid();
        let grandchild = async move {
            let own = spawn(async { yield_now().await }).await.unwrap();
            let tid = own.tid();
            own.await.unwrap();
            tid
        };
        let other = spawn(grandchild).await.unwrap();
        let theirs = task_info(other.tid()).unwrap().children[0];
        let invalid = [Tid(0), Tid(1), Tid(99), theirs];
        assert!(join(&invalid).await.is_none());
        assert!(try_join(&invalid).await.is_none());
        let unknown = Tid(99);
        for (bad, expected) in [
            (Tid(0), microthread::JoinError::Reserved(Tid(0))),
            (Tid(1), microthread::JoinError::Reserved(Tid(1))),
            (unknown, microthread::JoinError::Unknown(unknown)),
        ] {
            let error = join_checked(&[mine, bad]).await.unwrap_err();
            assert_eq!(error, JoinError::NoChild(expected));
        }
        let elder = spawn(async { yield_now().await }).await.unwrap();
        let not_own = spawn(async move { join_checked(&[elder.tid()]).await.unwrap_err() });
        let not_own = not_own.await.unwrap();
        let error = not_own.await.unwrap();
        assert!(
            error.to_string().ends_with("is a child of tid 1"),
            "{error}"
        );
        let joined = join_checked(&[mine]).await.unwrap();
        assert_eq!(joined.unwrap().0, mine);
    });
}

#[test]
fn what_is_told_about_microthreads() {
    assert_eq!(task_count(), 0);
    run(async {
        assert_eq!(
            (task_count(), local_task_count(), remote_task_count()),
            (1, 1, 0)
        );
        let quick = spawn(async {}).await.unwrap().tid();
        let slow = spawn(async { yield_now().await }).await.unwrap().tid();
        let mut set = cos_core::TaskSet::new();
        let hidden = set
            .spawn(async { join(&[]).await.is_none() })
            .await
            .unwrap();
        assert_eq!(cos_core::finished_tasks(), None, "there is no machine");
        assert_eq!((cos_core::slots(), cos_core::free_slots()), (None, None));
        let main = task_info(Tid(1)).unwrap();
        assert_eq!((main.tid, main.parent), (Tid(1), Tid(0)));
        assert_eq!(main.name, "main");
        assert_eq!(main.children, [quick, slow, hidden]);
        assert_eq!(main.finished_children, [quick, slow]);
        assert_eq!(main.status, TaskStatus::Running);
        let info = task_info(quick).unwrap();
        assert_eq!((info.parent, info.status), (Tid(1), TaskStatus::Finished));
        assert_eq!((info.task_id, info.host_id), (None, None));
        assert!(info.name.contains("what_is_told"), "{}", info.name);
        let blocked = spawn(async {
            spawn(async {
                loop {
                    yield_now().await
                }
            })
            .await
            .unwrap()
            .await
        });
        let blocked = blocked.await.unwrap();
        yield_now().await;
        assert_eq!(
            task_info(blocked.tid()).unwrap().status,
            TaskStatus::Waiting
        );
        assert_eq!(task_info(Tid(99)), None);
    });
}
