//! One OS after the other, and one inside of another.

use cos_core::runtime::OsError;
use cos_core::{NoOs, Os, SpawnError, dispatch, join_checked, spawn};

use super::run;

#[test]
fn several_follow_one_another() {
    for n in 0..3 {
        let value = run(async move { spawn(async move { n }).await.unwrap().await.unwrap() });
        assert_eq!(value, n);
    }
}

#[test]
fn one_inside_of_another_is_an_error() {
    run(async {
        assert!(matches!(Os::new().block_on(async {}), Err(OsError::Nested)));
        assert!(matches!(
            Os::new().run(async {}).await,
            Err(OsError::Nested)
        ));
        let child = spawn(async { Os::new().block_on(async {}).is_err() });
        assert!(child.await.unwrap().await.unwrap());
    });
}

#[test]
fn main_may_borrow() {
    let mut text = String::from("a");
    run(async {
        text.push('b');
        cos_core::yield_now().await;
        text.push('c');
    });
    assert_eq!(text, "abc");
}

#[test]
fn each_thread_has_its_own() {
    let threads: Vec<_> = (0..4)
        .map(|n| {
            std::thread::spawn(move || {
                run(async move {
                    let mut sum = 0;
                    for m in 0..50 {
                        sum += spawn(async move { n * m }).await.unwrap().await.unwrap();
                    }
                    sum
                })
            })
        })
        .collect();
    for (n, thread) in (0..).zip(threads) {
        assert_eq!(thread.join().unwrap(), n * 1225);
    }
}

#[test]
fn system_calls_outside_of_an_os_are_errors() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let error = spawn(async {}).await.unwrap_err();
        assert_eq!(error, SpawnError::NoOs(NoOs));
        assert!(join_checked(&[]).await.is_err());
        let jobs: [cos_core::job::Job<_>; 0] = [];
        let error = dispatch::<cos_core::job::CommandEnd, (), _>(jobs)
            .collect()
            .await;
        assert!(error.is_err());
        assert_eq!(cos_core::slots(), None);
        cos_core::finalize().await;
    });
}
