//! What a run has written down: job log and events.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The directory of one run.
#[derive(Debug)]
pub(crate) struct RunDirectory {
    pub(crate) path: PathBuf,
}

impl RunDirectory {
    /// The one that `latest` names among `runs`.
    pub(crate) fn latest(runs: &Path) -> Self {
        let path = fs::canonicalize(runs.join("latest"));
        Self {
            path: path.unwrap_or_else(|error| panic!("{}: {error}", runs.display())),
        }
    }

    /// Its job log.
    pub(crate) fn job_log(&self) -> JobLog {
        JobLog::read(&self.path.join("joblog"))
    }

    /// Its events.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path.join("events.jsonl")).expect("events.jsonl");
        events(text.as_bytes())
    }
}

/// Events, one on each line.
pub(crate) fn events(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

/// A job log in GNU parallel's format.
#[derive(Debug)]
pub(crate) struct JobLog {
    pub(crate) header: String,
    pub(crate) lines: Vec<JobLine>,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JobLine {
    pub(crate) sequence: u64,
    pub(crate) host: String,
    pub(crate) start: f64,
    pub(crate) runtime: f64,
    pub(crate) send: u64,
    pub(crate) receive: u64,
    pub(crate) exit: i64,
    pub(crate) signal: i64,
    pub(crate) command: String,
}

impl JobLog {
    /// Reads a job log; one that is not of the format fails the test.
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut lines = text.lines();
        Self {
            header: lines.next().expect("a header").to_owned(),
            lines: lines.map(JobLine::parse).collect(),
        }
    }

    /// Fails the test unless these jobs, `first` to `last`, stand in it once each.
    #[track_caller]
    pub(crate) fn has_each_once(&self, first: u64, last: u64) {
        let mut sequences: Vec<u64> = self.lines.iter().map(|line| line.sequence).collect();
        sequences.sort_unstable();
        let expected: Vec<u64> = (first..=last).collect();
        assert_eq!(sequences, expected, "{self:#?}");
    }

    /// The line of this job.
    pub(crate) fn job(&self, sequence: u64) -> &JobLine {
        self.lines
            .iter()
            .find(|line| line.sequence == sequence)
            .unwrap_or_else(|| panic!("no job {sequence}: {self:#?}"))
    }
}

impl JobLine {
    fn parse(line: &str) -> Self {
        fn number<T: std::str::FromStr>(line: &str, text: &str) -> T {
            text.trim()
                .parse()
                .unwrap_or_else(|_| panic!("{text:?} is no number in {line:?}"))
        }
        let columns: Vec<&str> = line.splitn(9, '\t').collect();
        let [
            sequence,
            host,
            start,
            runtime,
            send,
            receive,
            exit,
            signal,
            command,
        ] = columns[..]
        else {
            panic!("not nine columns: {line:?}");
        };
        Self {
            sequence: number(line, sequence),
            host: host.to_owned(),
            start: number(line, start),
            runtime: number(line, runtime),
            send: number(line, send),
            receive: number(line, receive),
            exit: number(line, exit),
            signal: number(line, signal),
            command: command.to_owned(),
        }
    }
}
