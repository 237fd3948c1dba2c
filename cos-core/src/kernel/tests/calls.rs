//! Calls: what each of their ends means for the task.

use std::sync::Arc;

use super::bench::{Bench, millis};
use crate::ids::TaskId;
use crate::job::{
    AttemptResult, Call, CallFailure, CallReport, Exit, Mismatch, Needs, Outcome, TaskEnd,
    TaskError,
};
use crate::kernel::TaskPolicy;

fn bench(slots: &[u32]) -> Bench {
    let mut bench = Bench::new(slots);
    let call = Call {
        task: "tool::search".into(),
        fingerprint: 1,
        arguments: vec![1].into(),
    };
    bench.work = Arc::new(call.into());
    bench
}

fn submit(bench: &mut Bench, tries: u32) -> TaskId {
    let policy = TaskPolicy {
        tries,
        ..TaskPolicy::default()
    };
    bench.submit_with(Needs::default(), policy)
}

/// The one attempt that was started runs and ends so.
fn end(bench: &mut Bench, result: Result<bytes::Bytes, CallFailure>) {
    let at = bench.start();
    bench.started(at);
    bench.pass(millis(5));
    let report = CallReport {
        elapsed: millis(5),
        ..CallReport::default()
    };
    bench.ended(at, AttemptResult::Call { result, report });
}

fn said(outcome: Outcome) -> String {
    outcome.expect_err("it failed").to_string()
}

#[test]
fn a_value_is_the_outcome() {
    let mut bench = bench(&[1]);
    let task = submit(&mut bench, 1);
    end(&mut bench, Ok(vec![7].into()));
    match bench.outcome(task) {
        Ok(TaskEnd::Call(end)) => assert_eq!(&*end.value, [7]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_error_a_panic_and_an_exit_use_a_try() {
    let failures = [
        CallFailure::Error {
            text: "no convergence".into(),
        },
        CallFailure::Panicked {
            message: "index 4".into(),
            location: Some("src/search.rs:40:9".into()),
        },
        CallFailure::ProcessEnded {
            exit: Exit::Code(0),
            out_of_memory_kills: 0,
        },
    ];
    let sentences = [
        "search(0) on b: no convergence",
        "search(0) on b: panicked at src/search.rs:40:9: index 4",
        "search(0) on b: exit 0 without a result",
    ];
    for (failure, sentence) in failures.into_iter().zip(sentences) {
        let mut bench = bench(&[1, 1]);
        let task = submit(&mut bench, 2);
        end(&mut bench, Err(failure.clone()));
        assert_eq!(bench.outcomes(), [], "a try is left");
        end(&mut bench, Err(failure));
        assert_eq!(said(bench.outcome(task)), sentence);
    }
}

#[test]
fn a_process_that_a_signal_ends_counts_a_crash() {
    let mut bench = bench(&[1, 1, 1]);
    let task = submit(&mut bench, 1);
    for _ in 0..3 {
        let failure = CallFailure::ProcessEnded {
            exit: Exit::Signal(9),
            out_of_memory_kills: 1,
        };
        end(&mut bench, Err(failure));
    }
    assert_eq!(
        said(bench.outcome(task)),
        "search(0): quarantined after 3 crashes, the last on c: c: SIGKILL, likely out of memory"
    );
}

#[test]
fn programs_that_differ_are_not_tried_again() {
    for failure in [
        CallFailure::NotRegistered(Mismatch::Signature),
        CallFailure::Undecodable {
            error: "cut".into(),
        },
        CallFailure::Unencodable {
            error: "no bytes".into(),
        },
    ] {
        let mut bench = bench(&[1, 1]);
        let task = submit(&mut bench, 5);
        end(&mut bench, Err(failure));
        let outcome = bench.outcome(task);
        assert!(
            matches!(
                outcome,
                Err(TaskError::NotRegistered { .. }
                    | TaskError::Decode { .. }
                    | TaskError::Encode { .. })
            ),
            "{outcome:?}"
        );
        assert_eq!(bench.starts(), []);
    }
}

#[test]
fn a_call_that_is_being_cancelled_is_cancelled_however_it_ends() {
    let mut bench = bench(&[1]);
    let task = submit(&mut bench, 3);
    let at = bench.start();
    bench.started(at);
    bench.kernel.cancel(task, millis(1), bench.now);
    let report = CallReport::default();
    let result = Err(CallFailure::Error {
        text: "interrupted".into(),
    });
    bench.ended(at, AttemptResult::Call { result, report });
    assert!(matches!(
        bench.outcome(task),
        Err(TaskError::Cancelled { .. })
    ));
}
