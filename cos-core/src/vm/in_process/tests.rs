//! Typed tasks over slots that are threads, from a dispatch to its results.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

use crate::job::{CommandJob, Job, Needs, TaskError};
use crate::kernel::TaskPolicy;
use crate::vm::local::LocalVm;
use crate::{Flow, Os, dispatch};

fn run<F: Future>(slots: u32, program: F) -> F::Output {
    let os = Os::new().vm(LocalVm::in_process(slots));
    os.block_on(program).expect("a runtime")
}

#[crate::task]
fn double(x: u64) -> u64 {
    2 * x
}

#[crate::task]
async fn later(x: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(x % 3)).await;
    x
}

#[crate::task]
fn fails_at(x: u64, at: u64) -> Result<u64, String> {
    match x == at {
        true => Err(format!("{x} is refused")),
        false => Ok(x),
    }
}

#[crate::task]
fn panics_at(x: u64, at: u64) -> u64 {
    assert_ne!(x, at, "no convergence");
    x
}

#[test]
fn results_come_in_the_order_of_the_jobs() {
    let doubled = run(2, async {
        dispatch((0..100).map(double::job)).collect().await
    });
    assert_eq!(
        doubled.unwrap(),
        (0..100).map(|x| 2 * x).collect::<Vec<_>>()
    );
    let same = run(3, async {
        dispatch((0..50).map(later::job)).collect().await
    });
    assert_eq!(same.unwrap(), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_task_that_fails_fails_alone() {
    let failed = run(2, async {
        let jobs = (0..6).map(|x| fails_at::job(x, 2));
        dispatch(jobs).collect_all().await
    });
    let panicked = run(2, async {
        let jobs = (0..6).map(|x| panics_at::job(x, 4));
        dispatch(jobs).collect_all().await
    });
    for (bad, results) in [(2, failed.unwrap()), (4, panicked.unwrap())] {
        for (index, result) in (0..).zip(&results) {
            assert_eq!(result.is_ok(), index != bad, "{index}: {result:?}");
        }
        match &results[bad] {
            Err(TaskError::Failed { host, error, .. }) => {
                assert_eq!((&**host, &**error), ("local", "2 is refused"));
            }
            Err(TaskError::Panicked {
                host,
                message,
                location,
                ..
            }) => {
                assert_eq!(&**host, "local");
                assert!(message.contains("no convergence"), "{message}");
                let here = location.as_deref().expect("a place");
                assert!(here.starts_with(file!()), "{here}");
            }
            other => panic!("{other:?}"),
        }
    }
}

static TRIES: AtomicU32 = AtomicU32::new(0);

#[crate::task]
fn succeeds_at_last() -> Result<u32, String> {
    match TRIES.fetch_add(1, Ordering::Relaxed) {
        2 => Ok(2),
        earlier => Err(format!("try {earlier}")),
    }
}

#[test]
fn a_failure_uses_a_try() {
    let policy = TaskPolicy {
        tries: 3,
        ..TaskPolicy::default()
    };
    let mut tries = 0;
    run(1, async {
        let jobs = dispatch([succeeds_at_last::job()]).policy(policy);
        jobs.for_each(|done| {
            assert_eq!(done.result, Ok(2));
            tries = done.attempts;
            Flow::Go
        })
        .await
    })
    .unwrap();
    assert_eq!(tries, 3);
}

static BEGUN: AtomicBool = AtomicBool::new(false);
static DROPPED: AtomicBool = AtomicBool::new(false);

#[crate::task]
async fn for_ever() {
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            DROPPED.store(true, Ordering::Relaxed);
        }
    }
    let _guard = Guard;
    BEGUN.store(true, Ordering::Relaxed);
    std::future::pending().await
}

#[test]
fn a_task_that_waits_is_cancelled_there() {
    run(1, async {
        let mut results = dispatch([for_ever::job()]).stream();
        std::future::poll_fn(|context| {
            let polled = futures_core::Stream::poll_next(std::pin::pin!(&mut results), context);
            assert!(polled.is_pending());
            match BEGUN.load(Ordering::Relaxed) {
                true => std::task::Poll::Ready(()),
                false => {
                    context.waker().wake_by_ref();
                    std::task::Poll::Pending
                }
            }
        })
        .await;
        drop(results);
        // The slot is free again: it is not that the program's end has cleaned up.
        let free = dispatch([double::job(4)]).collect().await;
        assert_eq!(free.unwrap(), [8]);
        assert!(DROPPED.load(Ordering::Relaxed));
    });
}

#[test]
fn commands_are_refused_with_a_sentence() {
    let result = run(1, async {
        let jobs = [Job::command(CommandJob::shell(1, "true"))];
        dispatch(jobs).collect_all().await.unwrap().remove(0)
    });
    assert_eq!(
        result.unwrap_err().to_string(),
        "not run: local: slots that are threads run no commands"
    );
}

#[crate::task]
fn thread() -> String {
    std::thread::sleep(Duration::from_millis(5));
    format!("{:?}", std::thread::current().id())
}

#[test]
fn a_task_takes_as_many_slots_as_it_needs() {
    let here: ThreadId = std::thread::current().id();
    let threads = |cores| {
        run(2, async move {
            let jobs = (0..10).map(move |_| thread::job().needs(Needs::cores(cores)));
            let threads: Vec<String> = dispatch(jobs).collect().await.unwrap();
            threads.into_iter().collect::<BTreeSet<_>>()
        })
    };
    let both = threads(2);
    assert!(!both.contains(&format!("{here:?}")));
    assert!(both.len() <= 2, "{both:?}");
    let too_large = run(2, async {
        let jobs = [double::job(1).needs(Needs::cores(3))];
        dispatch(jobs).collect_all().await.unwrap().remove(0)
    });
    assert!(
        matches!(&too_large, Err(TaskError::NoHostLeft { .. })),
        "{too_large:?}"
    );
}
