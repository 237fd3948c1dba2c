//! The jobs that run now: the only part of the display's memory that depends on them, and bounded by the slots.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use cos_core::ids::{AttemptId, HostId};
use cos_core::time::Time;

/// How much of what a job writes to standard error is kept: enough for one line.
const MAX_WORDS: usize = 200;

/// A job that runs.
#[derive(Debug, Clone)]
pub struct RunningJob {
    /// Its number among the jobs, from 0.
    pub index: u64,
    /// Where it runs.
    pub host: HostId,
    /// Since when.
    pub since: Time,
    /// Its command, escaped and cut.
    pub command: String,
    /// Whether it takes longer than most.
    pub slow: bool,
    /// The end of what it wrote to standard error, as it came.
    words: Vec<u8>,
}

impl RunningJob {
    pub(super) fn new(index: u64, host: HostId, since: Time, command: String) -> Self {
        Self {
            index,
            host,
            since,
            command,
            slow: false,
            words: Vec::new(),
        }
    }

    /// It wrote to standard error.
    pub(super) fn note_words(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(MAX_WORDS)..];
        let excess = (self.words.len() + kept.len()).saturating_sub(MAX_WORDS);
        self.words.drain(..excess);
        self.words.extend_from_slice(kept);
    }

    /// The last line that it wrote to standard error, not escaped; empty when it wrote none.
    pub(super) fn last_words(&self) -> &[u8] {
        let words = self.words.trim_ascii();
        match words.iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => &words[newline + 1..],
            None => words,
        }
    }
}

/// The jobs that run now.
#[derive(Debug, Clone, Default)]
pub(super) struct RunningJobs {
    jobs: HashMap<AttemptId, RunningJob>,
}

/// What is shown of the jobs of one host.
#[derive(Debug, Clone, Copy)]
pub struct Oldest<'a> {
    /// The job that has run longest.
    pub job: &'a RunningJob,
    /// How many more run there.
    pub others: u32,
}

impl RunningJobs {
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &RunningJob> {
        self.jobs.values()
    }

    /// Adds a job; gives back what was there under the same attempt, which a host should never bring about.
    pub(super) fn insert(&mut self, attempt: AttemptId, job: RunningJob) -> Option<RunningJob> {
        self.jobs.insert(attempt, job)
    }

    pub(super) fn get(&self, attempt: AttemptId) -> Option<&RunningJob> {
        self.jobs.get(&attempt)
    }

    pub(super) fn get_mut(&mut self, attempt: AttemptId) -> Option<&mut RunningJob> {
        self.jobs.get_mut(&attempt)
    }

    pub(super) fn remove(&mut self, attempt: AttemptId) -> Option<RunningJob> {
        match self.jobs.entry(attempt) {
            Entry::Occupied(entry) => Some(entry.remove()),
            Entry::Vacant(_) => None,
        }
    }

    /// The oldest job of each of `hosts` hosts.
    pub(super) fn oldest_by_host(&self, hosts: usize) -> Vec<Option<Oldest<'_>>> {
        let mut found: Vec<Option<Oldest<'_>>> = vec![None; hosts];
        for job in self.jobs.values() {
            let Some(entry) = found.get_mut(job.host.0 as usize) else {
                continue;
            };
            *entry = Some(match *entry {
                None => Oldest { job, others: 0 },
                Some(Oldest { job: best, others }) => Oldest {
                    // Jobs that began together are told apart by number, so that the line does not jump.
                    job: std::cmp::min_by_key(best, job, |job| (job.since, job.index)),
                    others: others.saturating_add(1),
                },
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_the_last_line() {
        let mut job = RunningJob::new(0, HostId(0), Time::default(), String::new());
        assert_eq!(job.last_words(), b"");
        job.note_words(b"first\nsh: 1: ngspice");
        job.note_words(b": not found\n");
        assert_eq!(job.last_words(), b"sh: 1: ngspice: not found");
        job.note_words(&[b'x'; 10_000]);
        assert_eq!(job.last_words().len(), MAX_WORDS);
    }
}
