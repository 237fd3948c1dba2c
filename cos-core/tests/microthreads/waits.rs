//! Several waits of one microthread: `select!`, `join_all`, waits that are dropped, waits under foreign wakers.

use std::future::poll_fn;
use std::task::Poll;

use cos_core::{Os, TaskHandle, join, spawn, yield_now};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;

use super::run;

/// A microthread that ends with `value` after so many yields.
async fn after(yields: u64, value: u64) -> u64 {
    for _ in 0..yields {
        yield_now().await;
    }
    value
}

async fn child(yields: u64, value: u64) -> TaskHandle<u64> {
    spawn(after(yields, value)).await.unwrap()
}

#[test]
fn select_over_two_joins_takes_the_first_and_leaves_the_other() {
    run(async {
        let (mut slow, mut fast) = (child(20, 1).await, child(3, 2).await);
        let first = tokio::select! {
            value = &mut slow => value,
            value = &mut fast => value,
        };
        assert_eq!(first.unwrap(), 2);
        assert_eq!(slow.await.unwrap(), 1);
        assert!(join(&[]).await.is_none());
    });
}

#[test]
fn join_all_of_ten_handles_wakes_for_each() {
    run(async {
        let mut handles = Vec::new();
        for n in 0..10 {
            handles.push(child(40 - n * 3, n).await);
        }
        let values = join_all(handles).await;
        let values: Vec<u64> = values.into_iter().map(Result::unwrap).collect();
        assert_eq!(values, (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn join_all_of_many_handles_has_wakers_of_its_own() {
    run(async {
        let mut handles = Vec::new();
        for n in 0..200 {
            handles.push(child(300 - n, n).await);
        }
        let values = join_all(handles).await;
        let values: Vec<u64> = values.into_iter().map(Result::unwrap).collect();
        assert_eq!(values, (0..200).collect::<Vec<_>>());
    });
}

#[test]
fn waits_inside_futures_unordered_wake_in_the_order_of_their_ends() {
    run(async {
        let mut waits = FuturesUnordered::new();
        for n in 0..50 {
            waits.push(child(200 - 4 * n, n).await);
        }
        let mut order = Vec::new();
        while let Some(value) = waits.next().await {
            order.push(value.unwrap());
        }
        assert_eq!(order, (0..50).rev().collect::<Vec<_>>());
    });
}

#[test]
fn yields_inside_futures_unordered_all_come_back() {
    run(async {
        let yields: FuturesUnordered<_> = (0..100).map(|n| after(n % 7, n)).collect();
        let mut values: Vec<u64> = yields.collect().await;
        values.sort_unstable();
        assert_eq!(values, (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn a_dropped_join_gives_its_child_back() {
    run(async {
        let mut handle = child(2, 7).await;
        let dropped = tokio::select! {
            biased;
            value = &mut handle => Some(value),
            () = yield_now() => None,
        };
        assert!(dropped.is_none());
        let (tid, value) = join(&[]).await.unwrap();
        assert_eq!((tid, value.get::<u64>().unwrap()), (handle.tid(), 7));
    });
}

#[test]
fn a_join_that_is_dropped_with_its_answer_gives_its_child_back() {
    run(async {
        let handle = child(0, 7).await;
        let tids = [handle.tid()];
        let mut wait = Box::pin(join(&tids));
        // The child is promised to this wait in its first poll.
        poll_fn(|context| {
            assert!(wait.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        yield_now().await;
        drop(wait);
        assert_eq!(handle.await.unwrap(), 7);
    });
}

#[test]
fn a_wait_that_moves_to_another_microthread_wakes_it_there() {
    run(async {
        let mut handle = child(10, 5).await;
        poll_fn(|context| {
            assert!(std::pin::Pin::new(&mut handle).poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        // The wait was begun here, and is polled by the child.
        let mover = spawn(async move { handle.await.unwrap() * 2 })
            .await
            .unwrap();
        assert_eq!(mover.await.unwrap(), 10);
    });
}

#[test]
fn a_microthread_of_another_parent_may_await_a_handle() {
    run(async {
        let handle = child(5, 3).await;
        let other = spawn(async move { handle.await.unwrap() + 1 })
            .await
            .unwrap();
        assert_eq!(other.await.unwrap(), 4);
    });
}

#[test]
fn many_wake_ups_from_another_thread_are_not_lost() {
    let total = Os::new().block_on(async {
        let mut receivers = Vec::new();
        let mut senders = Vec::new();
        for _ in 0..20 {
            let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(1);
            senders.push(sender);
            let sum = async move {
                let mut sum = 0;
                while let Some(n) = receiver.recv().await {
                    sum += n;
                    yield_now().await;
                }
                sum
            };
            receivers.push(spawn(sum).await.unwrap());
        }
        let feeder = std::thread::spawn(move || {
            for n in 0..100 {
                for sender in &senders {
                    sender.blocking_send(n).unwrap();
                }
            }
        });
        let sums = join_all(receivers).await;
        feeder.join().unwrap();
        sums.into_iter().map(Result::unwrap).sum::<u64>()
    });
    assert_eq!(total.unwrap(), 20 * 4950);
}
