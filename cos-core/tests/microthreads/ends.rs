//! How microthreads and whole programs end: panics, parents, drops.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use cos_core::job::TaskError;
use cos_core::{Os, TaskSet, join, spawn, yield_now};

use super::run;

#[test]
fn a_panic_ends_its_microthread_alone() {
    run(async {
        let line = line!() + 1;
        let bad = spawn(async { panic!("no {}", "convergence") })
            .await
            .unwrap();
        let bad: cos_core::TaskHandle<()> = bad;
        let good = spawn(async { 3 }).await.unwrap();
        let tid = bad.tid();
        let error = bad.await.unwrap_err();
        let TaskError::Panicked {
            message,
            location,
            host,
            task,
            ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!(
            (message.as_str(), host.as_str()),
            ("no convergence", "local")
        );
        assert_eq!(task.number(), Some(tid.0));
        let place = format!("{}:{line}:", file!());
        assert!(
            location.as_ref().unwrap().starts_with(&place),
            "{location:?}"
        );
        assert_eq!(good.await.unwrap(), 3);
    });
}

#[test]
fn a_panic_reaches_whoever_joins_by_tid() {
    run(async {
        let bad = spawn(async { std::panic::panic_any(3) }).await.unwrap();
        let _: &cos_core::TaskHandle<()> = &bad;
        let (_, value) = join(&[bad.tid()]).await.unwrap();
        let error = value.get::<()>().unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
    });
}

#[test]
fn a_panic_of_main_passes_on_after_everything_was_stopped() {
    let dropped = Rc::new(Cell::new(false));
    struct Noted(Rc<Cell<bool>>);
    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let noted = Noted(Rc::clone(&dropped));
    let caught = catch_unwind(AssertUnwindSafe(|| {
        run(async move {
            let endless = async move {
                let _noted = noted;
                loop {
                    yield_now().await;
                }
            };
            spawn(endless).await.unwrap();
            panic!("main's own");
        })
    }));
    let payload = caught.map(|(): ()| ()).unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"main's own"));
    assert!(dropped.get());
    assert_eq!(run(async { 1 }), 1, "another OS runs afterwards");
}

#[test]
fn descendants_end_with_main() {
    let alive = Rc::new(());
    let kept = Rc::clone(&alive);
    run(async move {
        let parent = async move {
            let child = async move {
                let _kept = kept;
                std::future::pending::<()>().await;
            };
            let child = spawn(child).await.unwrap();
            child.await.unwrap();
        };
        spawn(parent).await.unwrap();
    });
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[test]
fn a_dropped_run_drops_everything() {
    let alive = Rc::new(());
    let kept = Rc::clone(&alive);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let main = async move {
            let child = async move {
                let _kept = kept;
                std::future::pending::<()>().await;
            };
            spawn(child).await.unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = Os::new().run(main) => panic!("it never ends"),
            () = tokio::time::sleep(std::time::Duration::from_millis(10)) => {}
        }
    });
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[test]
fn values_that_make_system_calls_when_dropped_harm_nothing() {
    struct Holder {
        set: RefCell<TaskSet<()>>,
    }
    async fn holder() -> Holder {
        let mut set = TaskSet::new();
        set.spawn(std::future::pending()).await.unwrap();
        Holder {
            set: RefCell::new(set),
        }
    }
    run(async {
        // Its parent ends before it is joined, and its set is dropped with it.
        let parent = async {
            let child = spawn(holder()).await.unwrap();
            yield_now().await;
            assert!(child.is_finished());
        };
        spawn(parent).await.unwrap().await.unwrap();
        spawn(holder()).await.unwrap().detach();
        let value = spawn(holder()).await.unwrap().await.unwrap();
        assert_eq!(value.set.borrow().len(), 1);
        yield_now().await;
    });
}

#[test]
fn a_drop_that_panics_ends_nothing_else() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("in drop");
            }
        }
    }
    run(async {
        let bad = async {
            let _bad = Bad;
            std::future::pending::<()>().await;
        };
        let mut set = TaskSet::new();
        set.spawn(bad).await.unwrap();
        drop(set);
        assert_eq!(spawn(async { 5 }).await.unwrap().await.unwrap(), 5);
    });
}
