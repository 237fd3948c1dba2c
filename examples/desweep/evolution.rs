//! Steady-state differential evolution (DE/rand/1/bin), whose cost evaluations may be done elsewhere.
//!
//! There is no generation to wait for: a trial point replaces its parent as soon as its cost is known, and the next one is
//! made from the population as it is then. Several evaluations are always under way.
//!
//! # What is deterministic
//!
//! With [`Order::Made`] a result counts in the order in which its point was *made*: the population that a point is made from
//! depends on the seed and on the number of evaluations under way, not on who was how fast. One seed gives the same result
//! to the last bit on one core and on a lab (of the same architecture: the functions use the host's `sin`, `cos` and `exp`).
//! With [`Order::Come`] a result counts when it comes, so that one slow host delays nobody and no two runs are the same.

use std::collections::VecDeque;

use cos_core as cos;
use serde::{Deserialize, Serialize};

use crate::functions::Function;

/// The weight of the difference of two points.
const WEIGHT: f64 = 0.5;
/// The probability that a variable comes from the mutated point.
const CROSSOVER: f64 = 0.9;

/// One run of the optimiser.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) function: Function,
    pub(crate) dimension: usize,
    pub(crate) population: usize,
    pub(crate) seed: u64,
    /// The number of evaluations after which it gives up.
    pub(crate) evaluations: u64,
    /// How near the known minimum is near enough to stop.
    pub(crate) tolerance: f64,
    /// How many evaluations are under way at a time.
    pub(crate) window: usize,
    pub(crate) order: Order,
    pub(crate) place: Place,
}

/// When the result of an evaluation counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum Order {
    /// In the order in which the points were made: the same result everywhere.
    Made,
    /// As it comes.
    Come,
}

/// Where evaluations are done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Place {
    /// Where the optimiser runs.
    Here,
    /// On any slot of the virtual machine.
    Outsourced,
}

/// What a run has found.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    /// The lowest cost.
    pub(crate) cost: f64,
    /// How many evaluations it took.
    pub(crate) evaluations: u64,
    /// Whether it came within the tolerance of the known minimum.
    pub(crate) success: bool,
}

/// One cost evaluation: what a simulator would do in an hour.
#[cos::task]
pub(crate) fn cost(function: Function, point: Vec<f64>) -> f64 {
    function.at(&point)
}

/// One whole run of the optimiser, which may itself be outsourced.
#[cos::task]
pub(crate) async fn minimise(run: Run) -> cos::Result<Found> {
    Evolution::new(run).run().await
}

struct Member {
    point: Vec<f64>,
    /// Infinite until it is known.
    cost: f64,
}

/// A point whose cost is being evaluated, and whom it may replace.
struct Trial {
    parent: usize,
    point: Vec<f64>,
}

struct Evolution {
    run: Run,
    random: fastrand::Rng,
    members: Vec<Member>,
    made: u64,
    counted: u64,
    best: f64,
}

impl Evolution {
    fn new(run: Run) -> Self {
        let mut random = fastrand::Rng::with_seed(run.seed);
        let (low, high) = run.function.range();
        let mut member = || Member {
            point: (0..run.dimension)
                .map(|_| low + (high - low) * random.f64())
                .collect(),
            cost: f64::INFINITY,
        };
        let members = (0..run.population).map(|_| member()).collect();
        Self {
            run,
            random,
            members,
            made: 0,
            counted: 0,
            best: f64::INFINITY,
        }
    }

    async fn run(mut self) -> cos::Result<Found> {
        match self.run.order {
            Order::Made => self.in_order_made().await?,
            Order::Come => self.as_they_come().await?,
        }
        Ok(Found {
            cost: self.best,
            evaluations: self.counted,
            success: self.is_near(),
        })
    }

    async fn in_order_made(&mut self) -> cos::Result<()> {
        let mut under_way = VecDeque::new();
        loop {
            while self.wants_more() && under_way.len() < self.window() {
                let trial = self.make();
                let job = cost::job(self.run.function, trial.point.clone());
                let handle = match self.run.place {
                    Place::Here => cos::spawn(job).await?,
                    // The tid at once: that all slots are taken must not keep a result from being counted.
                    Place::Outsourced => cos::spawn(job).remote().enqueue().await?,
                };
                under_way.push_back((trial, handle));
            }
            let Some((trial, handle)) = under_way.pop_front() else {
                return Ok(());
            };
            self.count(trial, handle.await?);
        }
    }

    async fn as_they_come(&mut self) -> cos::Result<()> {
        let mut set = cos::TaskSet::new();
        let mut under_way = std::collections::HashMap::new();
        loop {
            while self.wants_more() && under_way.len() < self.window() {
                let trial = self.make();
                let spawn = cos::spawn(cost::job(self.run.function, trial.point.clone()));
                let tid = match self.run.place {
                    Place::Here => set.spawn(spawn).await?,
                    Place::Outsourced => set.spawn(spawn.remote().enqueue()).await?,
                };
                under_way.insert(tid, trial);
            }
            let Some((tid, value)) = set.join_next().await else {
                return Ok(());
            };
            if let Some(trial) = under_way.remove(&tid) {
                self.count(trial, value?);
            }
        }
    }

    /// The number of evaluations under way, below the population's size: each has a parent of its own.
    fn window(&self) -> usize {
        self.run.window.clamp(1, self.members.len())
    }

    fn wants_more(&self) -> bool {
        self.made < self.run.evaluations && !self.is_near()
    }

    fn is_near(&self) -> bool {
        self.best - self.run.function.minimum() <= self.run.tolerance
    }

    /// The next point: first every member of the population itself, then one trial for each in turn.
    fn make(&mut self) -> Trial {
        let parent = (self.made % self.members.len() as u64) as usize;
        let is_first_round = self.made < self.members.len() as u64;
        self.made += 1;
        let point = match is_first_round {
            true => self.members[parent].point.clone(),
            false => self.mutate(parent),
        };
        Trial { parent, point }
    }

    fn mutate(&mut self, parent: usize) -> Vec<f64> {
        let [a, b, c] = self.three_others(parent);
        let (low, high) = self.run.function.range();
        let sure = self.random.usize(..self.run.dimension);
        (0..self.run.dimension)
            .map(|at| {
                let own = self.members[parent].point[at];
                if at != sure && self.random.f64() >= CROSSOVER {
                    return own;
                }
                let [a, b, c] = [a, b, c].map(|other| self.members[other].point[at]);
                let mutated = a + WEIGHT * (b - c);
                // Outside the box: between the parent and the side that was crossed.
                match mutated {
                    value if value < low => low + self.random.f64() * (own - low),
                    value if value > high => high - self.random.f64() * (high - own),
                    value => value,
                }
            })
            .collect()
    }

    fn three_others(&mut self, parent: usize) -> [usize; 3] {
        let mut others = [parent; 3];
        for at in 0..others.len() {
            loop {
                let other = self.random.usize(..self.members.len());
                if other != parent && !others[..at].contains(&other) {
                    others[at] = other;
                    break;
                }
            }
        }
        others
    }

    fn count(&mut self, trial: Trial, cost: f64) {
        self.counted += 1;
        let member = &mut self.members[trial.parent];
        if cost <= member.cost {
            *member = Member {
                point: trial.point,
                cost,
            };
            self.best = self.best.min(cost);
        }
    }
}
