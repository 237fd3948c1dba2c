//! Local microthreads beside tokio's one-threaded runtime and its `LocalSet`, in one run on one machine.
//!
//! ```sh
//! cargo bench -p cos-core --bench microthreads
//! ```
//!
//! A word behind `--` chooses the lines that contain it. Each figure is the best of several rounds, in millions a second, taken in turns with tokio's.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that is run by hand shows its result"
)]

use std::future::Future;
use std::time::{Duration, Instant};

use cos_core::Os;
use tokio::task::LocalSet;

const ROUNDS: usize = 5;

fn main() {
    println!("{:<44}{:>9}{:>9}{:>7}", "M/s", "cos", "tokio", "ratio");
    compare(
        "spawn and join, one by one",
        300_000,
        one_by_one,
        tokio_one_by_one,
    );
    compare(
        "spawn 1,000, then join all",
        300_000,
        |n| in_lots(n, 1_000),
        |n| tokio_in_lots(n, 1_000),
    );
    compare(
        "spawn 100,000, then join all",
        300_000,
        |n| in_lots(n, 100_000),
        |n| tokio_in_lots(n, 100_000),
    );
    compare(
        "one microthread yields",
        3_000_000,
        |n| yields(1, n),
        |n| tokio_yields(1, n),
    );
    compare(
        "100 microthreads yield",
        3_000_000,
        |n| yields(100, n / 100),
        |n| tokio_yields(100, n / 100),
    );
    if !is_wanted("children") {
        return;
    }
    println!(
        "\n{:<44}{:>9}{:>12}",
        "children, finished before any is joined", "M/s", "ns a child"
    );
    for children in [1_000, 10_000, 100_000, 1_000_000] {
        let took = best(|| any_of_many(children));
        let nanoseconds = took.as_nanos() as f64 / children as f64;
        println!(
            "{children:<44}{:>9.2}{nanoseconds:>12.0}",
            1000.0 / nanoseconds
        );
    }
}

/// Whether the command line asks for this line.
fn is_wanted(name: &str) -> bool {
    let mut words = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .peekable();
    words.peek().is_none() || words.any(|word| name.contains(&word))
}

fn compare(name: &str, count: u64, cos: impl Fn(u64), tokio: impl Fn(u64)) {
    if !is_wanted(name) {
        return;
    }
    let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        ours = ours.min(timed(|| cos(count)));
        theirs = theirs.min(timed(|| tokio(count)));
    }
    let rate = |took: Duration| count as f64 / took.as_secs_f64() / 1e6;
    let (ours, theirs) = (rate(ours), rate(theirs));
    println!("{name:<44}{ours:>9.2}{theirs:>9.2}{:>7.2}", ours / theirs);
}

fn best(run: impl Fn()) -> Duration {
    (0..3).map(|_| timed(&run)).min().unwrap_or_default()
}

fn timed(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

fn on_cos<F: Future>(main: F) -> F::Output {
    Os::new().block_on(main).unwrap()
}

fn on_tokio<F: Future>(main: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, main)
}

fn one_by_one(count: u64) {
    let sum = on_cos(async {
        let mut sum = 0;
        for n in 0..count {
            sum += cos_core::spawn(async move { n })
                .await
                .unwrap()
                .await
                .unwrap();
        }
        sum
    });
    assert_eq!(sum, count * (count - 1) / 2);
}

fn tokio_one_by_one(count: u64) {
    let sum = on_tokio(async {
        let mut sum = 0;
        for n in 0..count {
            sum += tokio::task::spawn_local(async move { n }).await.unwrap();
        }
        sum
    });
    assert_eq!(sum, count * (count - 1) / 2);
}

fn in_lots(count: u64, lot: u64) {
    on_cos(async {
        let mut handles = Vec::with_capacity(lot as usize);
        for _ in 0..count / lot {
            for n in 0..lot {
                handles.push(cos_core::spawn(async move { n }).await.unwrap());
            }
            for handle in handles.drain(..) {
                handle.await.unwrap();
            }
        }
    });
}

fn tokio_in_lots(count: u64, lot: u64) {
    on_tokio(async {
        let mut handles = Vec::with_capacity(lot as usize);
        for _ in 0..count / lot {
            for n in 0..lot {
                handles.push(tokio::task::spawn_local(async move { n }));
            }
            for handle in handles.drain(..) {
                handle.await.unwrap();
            }
        }
    });
}

fn yields(threads: u64, times: u64) {
    on_cos(async {
        let yielding = move || async move {
            for _ in 0..times {
                cos_core::yield_now().await;
            }
        };
        for _ in 0..threads {
            cos_core::spawn(yielding()).await.unwrap();
        }
        while cos_core::join(&[]).await.is_some() {}
    });
}

fn tokio_yields(threads: u64, times: u64) {
    on_tokio(async {
        let mut handles = Vec::new();
        for _ in 0..threads {
            handles.push(tokio::task::spawn_local(async move {
                for _ in 0..times {
                    tokio::task::yield_now().await;
                }
            }));
        }
        for handle in handles {
            handle.await.unwrap();
        }
    });
}

/// Joins any child, of so many that have all finished.
fn any_of_many(children: u64) {
    on_cos(async {
        for n in 0..children {
            cos_core::spawn(async move { n }).await.unwrap();
        }
        let mut joined = 0;
        while cos_core::join(&[]).await.is_some() {
            joined += 1;
        }
        assert_eq!(joined, children);
    });
}
