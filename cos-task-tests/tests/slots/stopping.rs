//! Tasks that are stopped: by a time limit, by the client, by somebody else.

use std::time::Duration;

use cos_core::job::TaskError;
use cos_core::kernel::{TaskPolicy, TimeLimit};
use cos_task_tests::{endings, good, traces};

use crate::host::*;

fn limited(limit: Duration) -> TaskPolicy {
    TaskPolicy {
        limit: TimeLimit::After(limit),
        ..TaskPolicy::default()
    }
}

#[test]
fn a_time_limit_ends_a_task_with_all_it_has_started() {
    for host in [Host::local(), Host::ssh()] {
        for child in [false, true] {
            let begun = host.file(&format!("begun-{child}"));
            host.run(async |_| {
                let job = traces::runs_for_ever::job(begun.display().to_string(), child);
                let limit = limited(Duration::from_millis(500));
                let (stopped, pid) = tokio::join!(one_with(job, limit), content(&begun));
                let error = stopped.1.expect_err("it runs for ever");
                assert!(matches!(error, TaskError::TimedOut { .. }), "{error:?}");
                assert!(!lives(&pid), "{pid} lives on");
                let slots = values((0..50).map(|_| good::process::job())).await;
                assert!(slots.iter().all(|slot| slot.to_string() != pid));
            });
        }
    }
}

#[test]
fn a_stop_asks_what_the_task_has_started_to_end() {
    let host = Host::local();
    let begun = host.file("begun");
    host.run(async |log| {
        let job = traces::waits_for_a_child::job(begun.display().to_string());
        let limit = limited(Duration::from_millis(500));
        let (stopped, child) = tokio::join!(one_with(job, limit), content(&begun));
        let error = stopped.1.expect_err("it is stopped");
        assert!(matches!(error, TaskError::TimedOut { .. }), "{error:?}");
        assert!(!lives(&child), "{child} lives on");
        // The child has heard TERM, and the task has returned within its grace: its slot is none the worse.
        assert_eq!(log.restarts(), 0);
    });
}

#[test]
fn a_dropped_dispatch_stops_its_task() {
    for host in [Host::local(), Host::ssh()] {
        let begun = host.file("begun");
        host.run(async |_| {
            let job = traces::runs_for_ever::job(begun.display().to_string(), false);
            let pid = tokio::select! {
                _ = all([job]) => panic!("it runs for ever"),
                pid = content(&begun) => pid,
            };
            // The other slot, and soon this one, go on.
            assert_eq!(values((0..50).map(good::double::job)).await.len(), 50);
            while lives(&pid) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }
}

#[test]
fn a_process_that_stops_itself_is_ended_all_the_same() {
    Host::local().run(async |_| {
        let limit = limited(Duration::from_millis(200));
        let (_, result) = one_with(endings::stops_its_process::job(), limit).await;
        let error = result.expect_err("it does not return");
        assert!(matches!(error, TaskError::TimedOut { .. }), "{error:?}");
        assert_eq!(values((0..50).map(good::double::job)).await.len(), 50);
    });
}

#[test]
fn a_slot_that_somebody_kills_costs_no_task() {
    for host in [Host::local(), Host::ssh()] {
        let (begun, file) = (host.file("begun"), host.file("go on"));
        host.run(async |log| {
            let job = traces::waits_for_a_file::job(
                begun.display().to_string(),
                file.display().to_string(),
            );
            let killing = async {
                let pid = content(&begun).await;
                kill(&pid);
                while lives(&pid) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                // The second try finds it.
                std::fs::write(&file, "").expect("a file");
            };
            let (results, ()) = tokio::join!(all([job]), killing);
            assert_eq!(results, [Ok(())]);
            assert_eq!(log.restarts(), 1);
        });
    }
}

#[test]
fn nothing_is_left_when_the_agent_is_killed() {
    for host in [Host::local(), Host::ssh()] {
        let begun = host.file("begun");
        host.run(async |_| {
            let job = traces::runs_for_ever::job(begun.display().to_string(), true);
            let killing = async {
                let child = content(&begun).await;
                let agent = parent(&parent(&child));
                kill(&agent);
                while lives(&child) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            tokio::select! {
                _ = all([job]) => panic!("it runs for ever"),
                () = killing => {}
            }
        });
    }
}

fn parent(pid: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    line.expect("a parent").trim().to_owned()
}

fn kill(pid: &str) {
    let status = std::process::Command::new("kill")
        .args(["-KILL", pid])
        .status();
    assert!(status.expect("kill").success());
}
