//! Tasks that do not end as they should: each is its own error, which names task and host, and no other task and no slot
//! is harmed.

use cos_core::job::{Exit, Job, TaskError};
use cos_task_tests::{endings, good};

use crate::host::*;

/// Tries every bad ending on a host, beside good tasks.
fn each_ending_is_its_own(host: Host) {
    let name = host.name().to_owned();
    host.run(async |log| {
        let error = fails(&name, endings::panics::job("no convergence".to_owned())).await;
        let TaskError::Panicked {
            message,
            location,
            tries,
            ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!((message.as_str(), *tries), ("no convergence", 1));
        let location = location.as_deref().expect("a place");
        assert!(location.contains("endings.rs:"), "{location}");

        let error = fails(&name, endings::fails::job("singular matrix".to_owned())).await;
        assert!(
            matches!(&error, TaskError::Failed { error, .. } if error == "singular matrix"),
            "{error:?}"
        );
        assert_eq!(log.restarts(), 0, "neither costs a slot");

        for code in [0, 3] {
            let error = fails(&name, endings::exits::job(code)).await;
            let TaskError::Exited { exit, .. } = &error else {
                panic!("{error:?}");
            };
            assert_eq!(*exit, Exit::Code(code));
            assert!(error.to_string().contains("without a result"), "{error}");
        }
        assert_eq!(log.restarts(), 2);

        crashes(&name, endings::aborts::job(), "SIGABRT").await;
        crashes(&name, endings::segfaults::job(), "SIGSEGV").await;
        crashes(&name, endings::overflows_the_stack::job(0), "SIGABRT").await;
        crashes(&name, endings::is_killed::job(), "SIGKILL").await;
        crashes(&name, endings::runs_out_of_memory::job(), "SIGABRT").await;
        assert_eq!(log.restarts(), 2 + 5 * 3, "three crashes each");

        let error = fails(&name, endings::gives_what_does_not_decode::job()).await;
        let TaskError::Decode { error: cause, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(
            cause.contains("OneWay") && cause.contains("byte"),
            "type and offset: {cause}"
        );

        let error = fails(&name, endings::gives_what_does_not_encode::job()).await;
        let TaskError::Encode { error: cause, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(cause.contains("it has no form"), "{cause}");

        // Both slots are there still.
        let slots = values((0..200).map(|_| good::process::job())).await;
        let slots: std::collections::BTreeSet<u32> = slots.into_iter().collect();
        assert_eq!(slots.len(), 2);
    });
}

/// The error of a job that must fail and harm no other, and that names itself and its host.
async fn fails<T: std::fmt::Debug + 'static>(host: &str, job: Job<T>) -> TaskError {
    let error = beside_good_ones(job).await.expect_err("a bad task");
    let text = error.to_string();
    assert!(text.contains(host) && text.contains('('), "{text}");
    error
}

/// A job that crashes its slot is tried elsewhere, or again, and then quarantined with what it died of.
async fn crashes<T: std::fmt::Debug + 'static>(host: &str, job: Job<T>, signal: &str) {
    let error = fails(host, job).await;
    let TaskError::Quarantined { crashes, cause, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*crashes, 3);
    assert!(cause.contains(signal), "{signal}: {cause}");
}

#[test]
fn each_ending_is_its_own_on_this_machine() {
    each_ending_is_its_own(Host::local());
}

#[test]
fn each_ending_is_its_own_behind_ssh() {
    each_ending_is_its_own(Host::ssh());
}
