//! Machines that are set, replaced and put away while a program runs.

use cos_core::{DispatchError, SetVmError, dispatch, finalize, remote_task_count, set_vm, spawn};

use super::*;

#[test]
fn a_machine_is_set_later_replaced_and_put_away() {
    alone(async {
        assert_eq!(cos::slots(), None);
        set_vm(LocalVm::in_process(2)).unwrap();
        assert!(cos::slots().is_some());
        let results = dispatch((0..4).map(double::job)).collect().await.unwrap();
        assert_eq!(results, [0, 2, 4, 6]);
        set_vm(LocalVm::in_process(3)).unwrap();
        until_free(3).await;
        assert_eq!(
            spawn(double::job(3)).remote().await.unwrap().await.unwrap(),
            6
        );
        finalize().await;
        assert_eq!(cos::slots(), None);
        assert_eq!(
            spawn(double::job(3)).remote().await.unwrap().await.unwrap(),
            6
        );
        finalize().await;
    });
}

#[test]
fn it_cannot_be_changed_while_remote_tasks_run() {
    with_slots(1, async {
        let task = spawn(forever::job()).remote().await.unwrap();
        let error = set_vm(LocalVm::in_process(1)).unwrap_err();
        assert_eq!(error, SetVmError::InUse(1));
        finalize().await;
        assert!(task.await.is_err(), "its task was ended");
        assert_eq!(remote_task_count(), 0);
        set_vm(LocalVm::in_process(1)).unwrap();
        assert_eq!(
            spawn(double::job(3)).remote().await.unwrap().await.unwrap(),
            6
        );
    });
}

#[test]
fn a_machine_that_is_put_away_ends_those_who_wait_for_it() {
    with_slots(1, async {
        let _first = spawn(forever::job()).remote().await.unwrap();
        let waiting = spawn(async { spawn(double::job(1)).remote().await.map(|_| ()) });
        let waiting = waiting.await.unwrap();
        let dispatching = spawn(async { dispatch([forever::job()]).window(1).collect().await });
        let dispatching = dispatching.await.unwrap();
        finalize().await;
        let stopped = waiting.await.unwrap().unwrap_err();
        assert_eq!(stopped, cos_core::SpawnError::Stopping);
        let error = dispatching.await.unwrap().unwrap_err();
        assert!(
            matches!(error, DispatchError::Job { index: 0, .. }),
            "{error}"
        );
    });
}
