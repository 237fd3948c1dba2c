//! `OsHandle`: from threads, from synchronous code, from other runtimes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use cos_core::OsHandle;
use cos_core::event::RunEvent;
use cos_core::job::TaskError;

use super::*;

fn assert_shared<T: Clone + Send + Sync + 'static>() {}

#[test]
fn several_threads_have_jobs_run() {
    assert_shared::<OsHandle>();
    let os = Os::start(LocalVm::in_process(2)).unwrap();
    let threads: Vec<_> = (0..4_u64)
        .map(|n| {
            let os = os.clone();
            std::thread::spawn(move || os.dispatch_blocking((0..10).map(|x| double::job(n * x))))
        })
        .collect();
    for (n, thread) in (0..).zip(threads) {
        let results: Result<Vec<u64>, _> = thread.join().unwrap().into_iter().collect();
        assert_eq!(
            results.unwrap(),
            (0..10).map(|x| 2 * n * x).collect::<Vec<_>>()
        );
    }
    os.shutdown();
    let after = os.dispatch_blocking([double::job(1)]);
    assert!(matches!(after[..], [Err(TaskError::Cancelled { .. })]));
    os.shutdown();
}

#[test]
fn every_result_comes_good_or_bad_in_order() {
    let os = Os::start(LocalVm::in_process(2)).unwrap();
    let results = os.dispatch_blocking([
        double::job(1),
        fails::job("no".into()),
        panics::job(),
        slow::job(4),
    ]);
    assert!(matches!(
        results[..],
        [
            Ok(2),
            Err(TaskError::Failed { .. }),
            Err(TaskError::Panicked { .. }),
            Ok(4)
        ]
    ));
}

#[test]
fn jobs_are_spawned_watched_and_cut_off() {
    let os = Os::start(LocalVm::in_process(2)).unwrap();
    let ended = Arc::new(AtomicUsize::new(0));
    let (seen, counted) = (Arc::clone(&ended), Arc::clone(&ended));
    let (sender, first) = mpsc::channel();
    os.observe(move |event: &RunEvent| {
        if let RunEvent::TaskEnded { .. } = event {
            seen.fetch_add(1, Ordering::SeqCst);
            let _ = sender.send(());
        }
    });
    let task = os.spawn_blocking(slow::job(5));
    assert_eq!(task.join().unwrap(), 5);
    first.recv().unwrap();
    assert_eq!(counted.load(Ordering::SeqCst), 1);
    let endless = os.spawn_blocking(forever::job());
    assert!(endless.try_join().is_none());
    os.shutdown();
    assert!(matches!(endless.join(), Err(TaskError::Cancelled { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_may_be_used_under_another_runtime() {
    let os = Os::start(LocalVm::in_process(1)).unwrap();
    let other = os.clone();
    let task = tokio::spawn(async move { other.dispatch_blocking([double::job(3)]) });
    assert_eq!(os.dispatch_blocking([double::job(2)]), [Ok(4)]);
    assert_eq!(task.await.unwrap(), [Ok(6)]);
    os.shutdown();
}
