//! Standard test functions of global optimisation, each with its box and its known minimum.
//!
//! Definitions: Ali, Khompatraporn and Zabinsky, *A numerical evaluation of several stochastic algorithms on selected
//! continuous global optimization test problems*, J. Global Optimization 31 (2005); Levy's function as in Laguna and Marti (2005).

use std::f64::consts::{E, PI, TAU};

use serde::{Deserialize, Serialize};

/// A function of any number of variables, to be minimised within a box.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum Function {
    /// The sum of squares: one minimum, no coupling.
    Sphere,
    /// A bent narrow valley: one minimum that is hard to follow.
    Rosenbrock,
    /// A bowl with a grid of ripples: a number of local minima that is exponential in the dimension.
    Rastrigin,
    /// A nearly flat plain with a deep hole.
    Ackley,
    /// A wide bowl with ripples that couple all variables.
    Griewank,
    /// The deepest minimum lies near a corner of the box, far from the second best.
    Schwefel,
    /// Ripples along every axis, coupled neighbours.
    Levy,
}

impl Function {
    pub(crate) const ALL: [Self; 7] = [
        Self::Sphere,
        Self::Rosenbrock,
        Self::Rastrigin,
        Self::Ackley,
        Self::Griewank,
        Self::Schwefel,
        Self::Levy,
    ];

    /// Each variable's range.
    pub(crate) fn range(self) -> (f64, f64) {
        match self {
            Self::Sphere | Self::Rastrigin => (-5.12, 5.12),
            Self::Rosenbrock => (-5.0, 10.0),
            Self::Ackley => (-30.0, 30.0),
            Self::Griewank => (-600.0, 600.0),
            Self::Schwefel => (-500.0, 500.0),
            Self::Levy => (-10.0, 10.0),
        }
    }

    /// The value at the global minimum, in any dimension.
    pub(crate) fn minimum(self) -> f64 {
        0.0
    }

    /// Where the global minimum is: at this value of every variable.
    #[cfg(test)]
    fn minimiser(self) -> f64 {
        match self {
            Self::Sphere | Self::Rastrigin | Self::Ackley | Self::Griewank => 0.0,
            Self::Rosenbrock | Self::Levy => 1.0,
            Self::Schwefel => 420.968_746_359_982,
        }
    }

    /// The value at a point.
    pub(crate) fn at(self, x: &[f64]) -> f64 {
        let n = x.len() as f64;
        let sum = |term: &dyn Fn(f64) -> f64| x.iter().map(|&v| term(v)).sum::<f64>();
        match self {
            Self::Sphere => sum(&|v| v * v),
            Self::Rosenbrock => x
                .windows(2)
                .map(|pair| 100.0 * (pair[1] - pair[0] * pair[0]).powi(2) + (1.0 - pair[0]).powi(2))
                .sum(),
            Self::Rastrigin => 10.0 * n + sum(&|v| v * v - 10.0 * (TAU * v).cos()),
            Self::Ackley => {
                let spread = (sum(&|v| v * v) / n).sqrt();
                let ripple = sum(&|v| (TAU * v).cos()) / n;
                20.0 + E - 20.0 * (-0.2 * spread).exp() - ripple.exp()
            }
            Self::Griewank => {
                let product: f64 = (1..)
                    .zip(x)
                    .map(|(i, v)| (v / f64::from(i).sqrt()).cos())
                    .product();
                1.0 + sum(&|v| v * v) / 4000.0 - product
            }
            // The constant is the value of the sum's term at its minimum.
            Self::Schwefel => 418.982_887_272_433_8 * n - sum(&|v| v * v.abs().sqrt().sin()),
            Self::Levy => levy(x),
        }
    }
}

fn levy(x: &[f64]) -> f64 {
    let w = |v: f64| 1.0 + (v - 1.0) / 4.0;
    let (Some(&first), Some(&last)) = (x.first(), x.last()) else {
        return 0.0;
    };
    let (first, last) = (w(first), w(last));
    let inner: f64 = x[..x.len() - 1]
        .iter()
        .map(|&v| {
            let v = w(v);
            (v - 1.0).powi(2) * (1.0 + 10.0 * (PI * v + 1.0).sin().powi(2))
        })
        .sum();
    (PI * first).sin().powi(2) + inner + (last - 1.0).powi(2) * (1.0 + (TAU * last).sin().powi(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_its_minimum_where_it_is_known() {
        for function in Function::ALL {
            for dimension in [2, 5, 10] {
                let at = function.at(&vec![function.minimiser(); dimension]);
                let off = (at - function.minimum()).abs();
                assert!(
                    off < 1e-9 * dimension as f64,
                    "{function:?} in {dimension}: {at}"
                );
            }
        }
    }

    #[test]
    fn nothing_near_the_minimum_is_lower() {
        let mut random = fastrand::Rng::with_seed(1);
        for function in Function::ALL {
            for _ in 0..1000 {
                let point: Vec<f64> = (0..4)
                    .map(|_| function.minimiser() + 0.1 * (random.f64() - 0.5))
                    .collect();
                assert!(
                    function.at(&point) >= function.minimum() - 1e-9,
                    "{function:?} {point:?}"
                );
            }
        }
    }
}
