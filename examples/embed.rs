//! A plain synchronous program with threads of its own that hands its evaluations to COS.
//!
//! An optimiser that knows nothing of futures calls a *bulk cost* function from any of its threads. Here three hill climbers, a
//! thread each, share one [`OsHandle`].
//!
//! ```sh
//! cargo run -p cos-examples --bin embed
//! ```

#![expect(
    clippy::print_stdout,
    reason = "a program that is run by hand shows its result"
)]

use std::thread;

use cos_core as cos;
use cos_core::OsHandle;
use cos_core::vm::local::LocalVm;
use cos_core::wire::message::SlotCount;

#[cos::task]
pub(crate) fn cost(x: f64, y: f64) -> f64 {
    (x - 3.0).powi(2) + (y + 1.0).powi(2)
}

/// What an optimiser wants: all costs, in the order of the points.
fn bulk_cost(os: &OsHandle, points: &[(f64, f64)]) -> Result<Vec<f64>, cos::TaskError> {
    let jobs: Vec<_> = points.iter().map(|&(x, y)| cost::job(x, y)).collect();
    os.dispatch_blocking(jobs).into_iter().collect()
}

/// Goes to the best of its neighbours, with ever smaller steps.
fn climb(os: &OsHandle, start: (f64, f64)) -> Result<(f64, f64), cos::TaskError> {
    let (mut here, mut step) = (start, 4.0);
    while step > 1e-3 {
        let (x, y) = here;
        let points = [
            here,
            (x + step, y),
            (x - step, y),
            (x, y + step),
            (x, y - step),
        ];
        let costs = bulk_cost(os, &points)?;
        let (best, _) = (points.iter().zip(&costs))
            .min_by(|(_, a), (_, b)| a.total_cmp(b))
            .unwrap_or((&here, &0.0));
        match *best == here {
            true => step /= 2.0,
            false => here = *best,
        }
    }
    Ok(here)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // This program is its own worker: started by COS, it does not get past this line.
    cos::worker::init();

    let os = cos::Os::start(LocalVm::new("embed", SlotCount::Cores)?)?;
    let climbers: Vec<_> = [(-8.0, 5.0), (0.0, 0.0), (20.0, -30.0)]
        .into_iter()
        .map(|start| {
            let os = os.clone();
            thread::spawn(move || (start, climb(&os, start)))
        })
        .collect();
    for climber in climbers {
        let (start, end) = climber.join().map_err(|_| "a climber panicked")?;
        let (x, y) = end?;
        println!("from {start:?} to ({x:.3}, {y:.3})");
    }
    os.shutdown();
    Ok(())
}
