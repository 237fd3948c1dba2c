//! What a run that is under way says of itself when nothing else is said, or when it is asked.

use cos_core::time::Time;

use super::Statement;
use super::job::{Clock, JobLine};
use super::summary::run_line;
use crate::progress::format::Coarse;
use crate::progress::line::Tone;
use crate::progress::model::RunView;
use crate::progress::tally::tally;

/// How many running jobs are told of at a time.
const MAX_TOLD: usize = 500;

/// `Running 55 run 1 fail 2 retry  eta 1m12s, oldest: big #90 sim.sh c090.net 2m04s`
pub(in crate::progress) fn sign_of_life(view: &RunView, now: Time) -> Statement {
    let mut body = tally(view);
    if let Some(left) = view.time_left(now) {
        body.push_str(&format!("  eta {}", Coarse(left)));
    }
    if let Some(job) = view.running_jobs().first() {
        let host = view.host(job.host).map_or("?", |host| host.name.as_str());
        let number = job.index.saturating_add(1);
        let age = Coarse(now.since(job.since));
        body.push_str(&format!(", oldest: {host} #{number} {} {age}", job.command));
    }
    run_line("Running", Tone::Good, body)
}

/// Every job that runs, oldest first.
pub(in crate::progress) fn running_jobs(view: &RunView, now: Time) -> Vec<Statement> {
    let jobs = view.running_jobs();
    let mut told: Vec<Statement> = jobs
        .iter()
        .take(MAX_TOLD)
        .map(|job| {
            Statement::Job(JobLine {
                label: "Running",
                tone: Tone::Good,
                clock: Clock::Took(now.since(job.since)),
                host: view.host(job.host).map(|host| host.name.clone()),
                index: job.index,
                command: job.command.clone(),
                note: if job.slow { "slow" } else { "" }.to_owned(),
            })
        })
        .collect();
    let more = jobs.len() - told.len();
    if more > 0 || jobs.is_empty() {
        let body = match more {
            0 => "no job".to_owned(),
            more => format!("{more} more"),
        };
        told.push(run_line("Running", Tone::Good, body));
    }
    told
}
