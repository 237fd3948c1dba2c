//! Types that cannot travel.

use cos_core as cos;

struct Circuit {
    nodes: u32,
}

#[derive(serde::Serialize)]
struct Report {
    lines: u32,
}

#[cos::task]
fn simulate(circuit: Circuit, seed: u64) -> f64 {
    seed as f64 + f64::from(circuit.nodes)
}

#[cos::task]
fn report() -> Option<Report> {
    Some(Report { lines: 1 })
}

type Fallible = Result<u32, std::fmt::Error>;

#[cos::task]
fn hidden_result() -> Fallible {
    Ok(1)
}

struct Silent;

#[cos::task]
fn fails() -> Result<u32, Silent> {
    Err(Silent)
}

fn main() {}
