//! Tasks of this crate's tests, called by name as a host does, and in this process.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde::{Deserialize, Serialize};

use super::*;
use crate::ids::{TaskId, Tid};
use crate::job::{
    Call, CallEnd, CallFailure, CallReport, CommandOutput, Job, Payload, TaskAt, TaskEnd,
    TaskError, TaskLabel, Work,
};

#[crate::task]
fn double(x: u64) -> u64 {
    2 * x
}

#[crate::task]
async fn ratio(a: f64, b: f64) -> crate::Result<f64> {
    std::future::ready(()).await;
    match b {
        0.0 => Err(crate::Error::message("no divisor")),
        b => Ok(a / b),
    }
}

#[crate::task]
fn nothing() {}

#[crate::task]
fn fall() -> u8 {
    panic!("over");
}

/// Reads other bytes than it writes.
#[derive(Serialize)]
struct Lopsided(u8);

impl<'de> Deserialize<'de> for Lopsided {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|_| Self(0))
    }
}

#[crate::task]
fn lopsided() -> Lopsided {
    Lopsided(200)
}

#[crate::task]
fn takes_lopsided(_: u32, value: Lopsided) -> u8 {
    value.0
}

/// The future of a test's task, which never waits.
fn now<R>(future: impl Future<Output = R>) -> R {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

fn call_of<T>(job: &Job<T>) -> Call {
    match &*job.payload.work(0).expect("a call") {
        Work::Call(call) => call.clone(),
        Work::Command(_) => panic!("a command"),
    }
}

fn invoked(call: &Call) -> CallResult {
    match invoke(call) {
        Called::Done(result) => result,
        Called::Future(future) => now(future),
    }
}

/// There and back, as over a machine.
fn outsourced<T>(job: Job<T>) -> Result<T, TaskError> {
    let call = call_of(&job);
    let at = || TaskAt {
        task: TaskLabel::of(&call.clone().into(), TaskId(7)),
        host: "ws03".to_owned(),
    };
    let outcome = match invoked(&call) {
        Ok(value) => Ok(TaskEnd::Call(CallEnd {
            value,
            report: CallReport::default(),
        })),
        Err(failure) => {
            let TaskAt { task, host } = at();
            Err(failure.into_error(task, host, 1))
        }
    };
    (job.finish)(outcome, CommandOutput::default(), &at)
}

fn here<T>(job: Job<T>) -> Result<T, TaskError> {
    match job.payload {
        Payload::Call(call) => {
            let label = TaskLabel::local(call.name(), Tid(4));
            match call.call(label) {
                Called::Done(result) => result,
                Called::Future(future) => now(future),
            }
        }
        _ => panic!("no call"),
    }
}

#[test]
fn a_call_gives_what_the_function_gives_here_and_elsewhere() {
    assert_eq!(double(3), 6);
    assert_eq!(outsourced(double::job(3)), Ok(6));
    assert_eq!(here(double::job(3)), Ok(6));
    assert_eq!(outsourced(ratio::job(1.0, 4.0)), Ok(0.25));
    assert_eq!(here(ratio::job(1.0, 4.0)), Ok(0.25));
    assert_eq!(outsourced(nothing::job()), Ok(()));
}

#[test]
fn a_call_names_its_task_by_module_and_function() {
    let call = call_of(&double::job(3));
    assert_eq!(call.task, "cos_core::registry::tests::double");
    assert_eq!(call.short_name(), "double");
}

#[test]
fn errors_and_panics_name_task_and_host() {
    let said = |result: Result<f64, TaskError>| result.unwrap_err().to_string();
    assert_eq!(
        said(outsourced(ratio::job(1.0, 0.0))),
        "ratio(7) on ws03: no divisor"
    );
    assert_eq!(
        said(here(ratio::job(1.0, 0.0))),
        "ratio(4) on local: no divisor"
    );
    for (result, label, at) in [
        (outsourced(fall::job()), TaskLabel::named("fall", 7), "ws03"),
        (here(fall::job()), TaskLabel::named("fall", 4), "local"),
    ] {
        let Err(TaskError::Panicked {
            task,
            host,
            message,
            location,
            tries: 1,
        }) = result
        else {
            panic!("{result:?}");
        };
        assert_eq!((task, &*host, &*message), (label, at, "over"));
        assert!(location.is_some_and(|place| place.starts_with(file!())));
    }
}

#[test]
fn another_build_is_recognised() {
    let call = call_of(&double::job(3));
    let renamed = Call {
        task: "elsewhere::double".into(),
        ..call.clone()
    };
    let other = Call {
        fingerprint: call.fingerprint + 1,
        ..call.clone()
    };
    let torn = Call {
        arguments: vec![253].into(),
        ..call.clone()
    };
    let missing = CallFailure::NotRegistered(Mismatch::Missing);
    assert_eq!(invoked(&renamed), Err(missing));
    let signature = CallFailure::NotRegistered(Mismatch::Signature);
    assert_eq!(invoked(&other), Err(signature));
    assert!(matches!(
        invoked(&torn),
        Err(CallFailure::Undecodable { .. })
    ));
    let longer = Call {
        arguments: vec![3, 3].into(),
        ..call
    };
    assert!(matches!(
        invoked(&longer),
        Err(CallFailure::Undecodable { error }) if error == "cannot decode: 1 bytes left over"
    ));
}

#[test]
fn what_does_not_decode_names_type_and_byte() {
    let Err(TaskError::Decode { task, host, error }) = outsourced(lopsided::job()) else {
        panic!("decoded");
    };
    assert_eq!(
        (task.to_string(), &*host),
        ("lopsided(7)".to_owned(), "ws03")
    );
    assert!(
        error.starts_with("the value (cos_core::registry::tests::Lopsided), at byte 1 of 1: "),
        "{error}"
    );
    let Err(TaskError::Decode { error, .. }) = outsourced(takes_lopsided::job(1, Lopsided(200)))
    else {
        panic!("decoded");
    };
    assert!(error.starts_with("argument `value` ("), "{error}");
}

#[cfg(debug_assertions)]
#[test]
fn what_cannot_travel_is_seen_in_this_process() {
    assert!(matches!(
        here(lopsided::job()),
        Err(TaskError::Decode { .. })
    ));
    let result = here(takes_lopsided::job(1, Lopsided(200)));
    assert!(
        matches!(result, Err(TaskError::Decode { .. })),
        "{result:?}"
    );
}

#[test]
fn two_tasks_of_one_name_are_told_apart_by_their_places() {
    static TWO: [Handler; 2] = [
        Handler {
            name: "tool::f",
            fingerprint: 1,
            place: Place {
                file: "src/a.rs",
                line: 17,
            },
            call: |_| Called::Done(Ok(bytes::Bytes::new())),
        },
        Handler {
            name: "tool::f",
            fingerprint: 1,
            place: Place {
                file: "src/a.rs",
                line: 9,
            },
            call: |_| Called::Done(Ok(bytes::Bytes::new())),
        },
    ];
    assert_eq!(
        collect(&TWO).unwrap_err().to_string(),
        "two tasks are called `tool::f`: at src/a.rs:9 and at src/a.rs:17; rename one"
    );
    assert_eq!(check(), Ok(()));
}

#[test]
fn a_job_is_send_whatever_it_gives() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&double::job(3));
    is_send(&Job::<std::rc::Rc<u8>>::invalid("none"));
}
