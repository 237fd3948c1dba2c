//! Population sweep of differential evolution over standard global test functions.
//!
//! How large must a population be? The sweep minimises every function in several dimensions with several population sizes
//! and seeds, and prints a table of how often and how fast the known minimum was found.
//!
//! ```sh
//! cargo run --release -p cos-examples --bin desweep                                  # this machine's cores
//! COS_HOSTS=lab.toml cargo run --release -p cos-examples --bin desweep               # a lab
//! cargo run --release -p cos-examples --bin desweep -- --outsource evaluations       # every cost evaluation elsewhere
//! cargo run --release -p cos-examples --bin desweep -- --outsource both              # runs elsewhere, their evaluations elsewhere again
//! ```
//!
//! The exit status is 1 when some function was not found with any population size.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that is run by hand shows its result"
)]

mod evolution;
mod functions;
mod table;

use clap::{Parser, ValueEnum};
use cos_core as cos;
use cos_ssh_vm::SshVm;

use evolution::{Found, Order, Place, Run, minimise};
use functions::Function;

/// Sweeps the population size of differential evolution over standard test functions.
#[derive(Parser, Debug)]
struct Arguments {
    /// Functions to minimise; all unless named.
    #[arg(long = "function", value_enum, value_delimiter = ',')]
    functions: Vec<Function>,
    /// Dimensions.
    #[arg(long, value_delimiter = ',', default_value = "2,5,10")]
    dimensions: Vec<u16>,
    /// Population sizes.
    #[arg(long, value_delimiter = ',', default_value = "10,20,40,80")]
    populations: Vec<u16>,
    /// How many seeds, from 1.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Give a run up after so many evaluations per dimension.
    #[arg(long, default_value_t = 10_000)]
    evaluations: u64,
    /// A run has succeeded when it is so near the known minimum.
    #[arg(long, default_value_t = 1e-6)]
    tolerance: f64,
    /// Evaluations under way at a time in each run.
    #[arg(long, default_value_t = 8)]
    window: usize,
    /// Whether results count in the order in which points were made, or as they come.
    #[arg(long, value_enum, default_value_t = Order::Made)]
    order: Order,
    /// What is done elsewhere.
    #[arg(long, value_enum, default_value_t = Outsource::Runs)]
    outsource: Outsource,
}

/// What is done on the slots of the virtual machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Outsource {
    /// Nothing: all microthreads share one core.
    Nothing,
    /// Whole runs.
    Runs,
    /// Every cost evaluation; the runs are microthreads here.
    Evaluations,
    /// Both: a run on one host asks for slots anywhere.
    Both,
}

impl Arguments {
    fn functions(&self) -> &[Function] {
        match self.functions.as_slice() {
            [] => &Function::ALL,
            named => named,
        }
    }

    /// Every run, those of one table line together.
    fn runs(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        for &function in self.functions() {
            for &dimension in &self.dimensions {
                for &population in &self.populations {
                    runs.extend((1..=self.seeds).map(|seed| Run {
                        function,
                        dimension: usize::from(dimension.max(1)),
                        // Three others and the parent.
                        population: usize::from(population.max(4)),
                        seed,
                        evaluations: self.evaluations * u64::from(dimension.max(1)),
                        tolerance: self.tolerance,
                        window: self.window,
                        order: self.order,
                        place: match self.outsource {
                            Outsource::Nothing | Outsource::Runs => Place::Here,
                            Outsource::Evaluations | Outsource::Both => Place::Outsourced,
                        },
                    }));
                }
            }
        }
        runs
    }
}

#[cos::main]
async fn main() -> cos::Result<()> {
    let arguments = Arguments::parse();
    if arguments.outsource != Outsource::Nothing {
        cos::set_vm(SshVm::discover().await?)?;
    }
    let runs = arguments.runs();
    let mut found: Vec<Option<Found>> = vec![None; runs.len()];
    let jobs = runs.iter().map(|run| minimise::job(*run));
    let sweep = match arguments.outsource {
        Outsource::Runs | Outsource::Both => cos::dispatch(jobs),
        Outsource::Nothing => cos::dispatch(jobs).local(),
        // Each run waits for its evaluations most of the time: several feed the slots together.
        Outsource::Evaluations => cos::dispatch(jobs).local().window(4),
    };
    let mut ended = 0;
    sweep
        .for_each(|done| {
            ended += 1;
            match done.result {
                Ok(result) => found[done.index as usize] = Some(result),
                Err(error) => eprintln!("{error}"),
            }
            if ended % 100 == 0 {
                eprintln!("{ended} of {} runs", runs.len());
            }
            cos::Flow::Go
        })
        .await?;
    let missed = table::print(&runs, &found);
    match missed.as_slice() {
        [] => Ok(()),
        missed => Err(cos::Error::message(format!(
            "not found with any population size: {}",
            missed.join(", ")
        ))),
    }
}
