//! `spawn` of jobs: remote, targeted, enqueued, at once or not at all, and local where there is no machine.

use std::future::IntoFuture;

use cos_core::ids::{HostId, Tid};
use cos_core::job::{CommandJob, Job, Needs, TaskError};
use cos_core::{
    SpawnError, TaskSet, TaskStatus, join, remote_task_count, spawn, task_info, try_join,
};

use super::*;

#[test]
fn a_remote_job_is_handed_to_a_host_and_joined() {
    with_slots(2, async {
        let handle = spawn(double::job(4)).remote().await.unwrap();
        assert_eq!(handle.tid(), Tid(2));
        assert!(handle.task_id().is_some());
        assert_eq!(handle.host_id(), Some(HostId(0)));
        assert_eq!(handle.await.unwrap(), 8);
        let by_tid = spawn(double::job(5)).remote().await.unwrap();
        let (tid, value) = join(&[by_tid.tid()]).await.unwrap();
        assert_eq!((tid, value.host_id()), (Tid(3), Some(HostId(0))));
        assert_eq!(value.get::<u64>().unwrap(), 10);
        let tid = by_tid.tid();
        assert_eq!(by_tid.await, Err(TaskError::AlreadyJoined { tid }));
    });
}

#[test]
fn a_local_job_runs_here_though_there_is_a_machine() {
    with_slots(1, async {
        let handle = spawn(double::job(4)).await.unwrap();
        assert_eq!((handle.task_id(), handle.host_id()), (None, None));
        assert_eq!(handle.await.unwrap(), 8);
    });
}

#[test]
fn failures_reach_whoever_joins() {
    with_slots(1, async {
        let failed = spawn(fails::job("singular".into())).remote().await.unwrap();
        let error = failed.await.unwrap_err();
        assert!(matches!(&error, TaskError::Failed { error, .. } if error == "singular"));
        let panicked = spawn(panics::job()).remote().await.unwrap();
        assert!(matches!(panicked.await, Err(TaskError::Panicked { .. })));
        let local = spawn(fails::job("singular".into())).await.unwrap();
        assert!(matches!(local.await, Err(TaskError::Failed { .. })));
        let local = spawn(panics::job()).await.unwrap();
        assert!(matches!(local.await, Err(TaskError::Panicked { .. })));
    });
}

#[test]
fn without_a_machine_a_remote_job_is_local_and_a_command_is_refused() {
    alone(async {
        let handle = spawn(double::job(4)).remote().await.unwrap();
        assert_eq!(handle.host_id(), None);
        assert_eq!(handle.await.unwrap(), 8);
        let error = spawn(double::job(4)).on(HostId(0)).await.unwrap_err();
        assert_eq!(error, SpawnError::UnknownHost(HostId(0)));
        let command = Job::command(CommandJob::shell(1, "true"));
        assert_eq!(spawn(command).remote().await.unwrap_err(), SpawnError::NoVm);
    });
}

#[test]
fn a_spawn_that_will_not_wait_is_refused_when_no_slot_is_free() {
    with_slots(1, async {
        until_free(1).await;
        let first = spawn(forever::job()).try_now().remote().await.unwrap();
        let refused = spawn(double::job(1)).remote().try_now().await;
        assert_eq!(refused.unwrap_err(), SpawnError::NoFreeSlot);
        assert_eq!(remote_task_count(), 1, "there is no child");
        first.detach();
    });
}

#[test]
fn an_enqueued_spawn_has_its_tid_at_once() {
    with_slots(1, async {
        until_free(1).await;
        let first = spawn(slow::job(1)).remote().await.unwrap();
        let second = spawn(slow::job(2)).on(HostId(0)).enqueue().await.unwrap();
        assert_eq!((second.tid(), second.task_id()), (Tid(3), None));
        assert_eq!(second.host_id(), Some(HostId(0)), "the target");
        let info = task_info(second.tid()).unwrap();
        assert_eq!(
            (info.status, info.name.rsplit("::").next()),
            (TaskStatus::Queued, Some("slow"))
        );
        assert!(try_join(&[]).await.is_none());
        assert_eq!(first.await.unwrap(), 1);
        assert_eq!(second.await.unwrap(), 2);
    });
}

#[test]
fn a_blocking_spawn_waits_for_a_slot() {
    with_slots(1, async {
        let first = spawn(slow::job(1)).remote().await.unwrap();
        let second = spawn(slow::job(2)).remote().await.unwrap();
        assert!(
            first.is_finished(),
            "its slot was free before the second ran"
        );
        assert!(second.task_id().is_some());
        assert_eq!(first.await.unwrap() + second.await.unwrap(), 3);
    });
}

#[test]
fn what_can_never_run_is_an_error_at_once() {
    with_slots(1, async {
        let error = spawn(double::job(1)).on(HostId(7)).await.unwrap_err();
        assert_eq!(error, SpawnError::UnknownHost(HostId(7)));
        let gpu = double::job(1).needs(Needs::cores(1).tag("gpu"));
        let error = spawn(gpu).remote().await.unwrap_err();
        assert!(matches!(error, SpawnError::NeedsNotMet(_)), "{error}");
        until_free(1).await;
        let large = double::job(1).needs(Needs::cores(4));
        let error = spawn(large).remote().await.unwrap_err();
        assert!(matches!(error, SpawnError::NeedsNotMet(_)), "{error}");
    });
}

#[test]
fn a_dropped_spawn_leaves_no_child() {
    with_slots(1, async {
        let first = spawn(slow::job(1)).remote().await.unwrap();
        let waiting = spawn(slow::job(2)).remote();
        let gone = tokio::time::timeout(Duration::from_millis(1), waiting.into_future()).await;
        assert!(gone.is_err());
        assert_eq!(remote_task_count(), 1);
        assert_eq!(first.await.unwrap(), 1);
        assert!(join(&[]).await.is_none());
    });
}

#[test]
fn a_dropped_set_frees_the_slots_of_its_tasks() {
    with_slots(2, async {
        let mut set = TaskSet::new();
        for _ in 0..2 {
            set.spawn(spawn(forever::job()).remote()).await.unwrap();
        }
        assert_eq!(cos::free_slots(), Some(0));
        drop(set);
        assert_eq!(remote_task_count(), 0);
        until_free(2).await;
    });
}

#[test]
fn slots_are_used_from_the_spawn_to_the_end_of_the_task() {
    with_slots(2, async {
        until_free(2).await;
        assert_eq!((cos::slots(), cos::finished_tasks()), (Some(2), Some(0)));
        let task = spawn(slow::job(1)).remote().await.unwrap();
        assert_eq!(cos::free_slots(), Some(1));
        while !task.is_finished() {
            cos::yield_now().await;
        }
        assert_eq!(
            (cos::free_slots(), cos::finished_tasks()),
            (Some(2), Some(1))
        );
        assert_eq!(task.await.unwrap(), 1);
        assert_eq!(cos::finished_tasks(), Some(0));
    });
}
