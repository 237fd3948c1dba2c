//! What tasks print: all of it captured, each byte as the output of its task, and never taken for a message.

use cos_core::Flow;
use cos_core::dispatch;
use cos_task_tests::{good, output, traces};

use crate::host::*;

#[test]
fn output_is_its_tasks_own() {
    for host in [Host::local(), Host::ssh()] {
        host.run(async |log| {
            let mut tasks = Vec::new();
            let jobs = (0..50).map(|n| output::prints::job(format!("out {n}"), format!("err {n}")));
            let taken = dispatch(jobs).for_each(|done| {
                done.result.expect("a good task");
                tasks.push((done.index, done.task.expect("a host ran it")));
                Flow::Go
            });
            taken.await.expect("an OS");
            for (index, task) in tasks {
                let [out, err] = log.printed(task);
                assert_eq!(String::from_utf8(out), Ok(format!("out {index}")));
                assert_eq!(String::from_utf8(err), Ok(format!("err {index}")));
            }
        });
    }
}

#[test]
fn binary_output_breaks_nothing() {
    for host in [Host::local(), Host::ssh()] {
        host.run(async |log| {
            let (task, result) = one(output::prints_binary::job(400)).await;
            result.expect("a good task");
            let expected: Vec<u8> = (0..=255).cycle().take(256 * 400).collect();
            let printed = log.printed(task);
            assert!(printed == [expected.clone(), expected]);
            assert_eq!(values([good::double::job(4)]).await, [8]);
        });
    }
}

#[test]
fn a_flood_passes_under_credit() {
    const BYTES: usize = 20 << 20;
    Host::local().run(async |log| {
        let (task, result) = one(output::floods::job(BYTES)).await;
        assert_eq!(result, Ok(BYTES));
        assert_eq!(log.printed(task)[0].len(), BYTES);
    });
}

#[test]
fn what_c_code_has_printed_comes_with_its_task() {
    Host::local().run(async |log| {
        let (task, result) = one(output::prints_in_c::job()).await;
        result.expect("a good task");
        assert_eq!(log.printed(task)[0], b"from C");
    });
}

#[test]
fn streams_that_a_task_takes_away_are_there_for_the_next() {
    Host::local().run(async |log| {
        // Each slot has had one of either.
        values((0..8).map(|_| output::redirects::job())).await;
        values((0..8).map(|_| output::closes::job())).await;
        for _ in 0..4 {
            let (task, result) = one(output::prints::job("out".to_owned(), "err".to_owned())).await;
            result.expect("a good task");
            assert_eq!(log.printed(task), [b"out".to_vec(), b"err".to_vec()]);
        }
    });
}

#[test]
fn the_last_output_of_a_crash_is_not_lost() {
    for host in [Host::local(), Host::ssh()] {
        host.run(async |log| {
            let text = "x".repeat(50_000);
            let (task, result) = one(output::prints_and_aborts::job(text.clone())).await;
            result.expect_err("a crash");
            // Once for each try.
            assert_eq!(log.printed(task)[0].len(), 3 * text.len());
        });
    }
}

#[test]
fn a_thread_that_outlives_its_task_harms_no_other() {
    Host::local().run(async |_| {
        values((0..4).map(|_| traces::starts_a_thread::job("late\n".to_owned()))).await;
        let doubled = values((0..2000).map(good::double::job)).await;
        assert_eq!(doubled.len(), 2000);
    });
}
