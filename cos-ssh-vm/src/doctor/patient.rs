//! A host under examination: what its events say about it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cos_core::vm::host::{HostFailure, HostInfo, HostNote, Stage};
use cos_core::wire::message::{AgentNote, Containment, DirectoryReport, HostReport, Swept};

use super::{Check, Examination, Finding, Status};

/// How much clocks may differ (2 s): what compares times of files on a shared disk begins to err there.
const CLOCK_LIMIT: f64 = 2.0;

/// A host that is being looked at.
pub(super) struct Patient {
    host: String,
    max_load: Option<f64>,
    notes: Vec<HostNote>,
    findings: Vec<Finding>,
}

impl Patient {
    pub(super) fn new(host: String, max_load: Option<f64>) -> Self {
        Self {
            host,
            max_load,
            notes: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// What was noticed before it was up or had failed.
    pub(super) fn notice(&mut self, note: HostNote) {
        self.notes.push(note);
    }

    pub(super) fn examination(mut self) -> Examination {
        self.findings.sort_by_key(|finding| finding.check);
        Examination {
            host: self.host,
            findings: self.findings,
        }
    }

    pub(super) fn find(
        &mut self,
        check: Check,
        status: Status,
        text: String,
        cure: Option<String>,
    ) {
        self.findings.push(Finding {
            check,
            status,
            text,
            cure,
        });
    }

    fn good(&mut self, check: Check, text: String) {
        self.find(check, Status::Good, text, None);
    }

    pub(super) fn has_failed(&mut self, failure: &HostFailure) {
        let check = failed_check(failure);
        if check > Check::Reach {
            self.good(Check::Reach, "it answers".to_owned());
        }
        if check > Check::Key {
            self.good(Check::Key, "the login is accepted".to_owned());
        }
        self.look_at_notes(check > Check::StartUpFiles);
        let text = match failure.cause.is_empty() {
            true => failure.headline.clone(),
            false => format!("{}\n{}", failure.headline, failure.cause),
        };
        self.find(check, Status::Problem, text, failure.cure.clone());
    }

    pub(super) fn is_up(&mut self, info: &HostInfo, now: SystemTime) {
        let report = &info.report;
        let start = info.start_time.as_secs_f64();
        let round_trip = info.round_trip.as_secs_f64() * 1000.0;
        self.good(
            Check::Reach,
            format!("ready after {start:.1} s, round trip {round_trip:.1} ms"),
        );
        self.good(Check::Key, "the login is accepted".to_owned());
        self.look_at_notes(true);
        let system = format!("{}, kernel {}", report.system, report.kernel);
        self.good(Check::Architecture, system);
        let memory = report.memory_kib as f64 / 1024.0 / 1024.0;
        self.good(
            Check::Cores,
            format!(
                "{} cores, {} slots, {memory:.1} GiB of memory",
                report.cores, report.slots
            ),
        );
        self.look_at_load(report);
        let worker = match info.uploaded {
            0 => format!("release {}, was there", info.release),
            bytes => format!("release {}, {bytes} bytes sent", info.release),
        };
        self.good(Check::Worker, worker);
        self.look_at_preparation(report);
        self.look_at_mirrors(report);
        self.look_at_clock(report, info.round_trip, now);
        self.look_at_session(report);
    }

    /// `heard`: it came so far that its start-up files would have been heard.
    fn look_at_notes(&mut self, heard: bool) {
        let notes = std::mem::take(&mut self.notes);
        let mut quiet = heard;
        for note in notes {
            match note {
                HostNote::IgnoredLines { lines, first } => {
                    quiet = false;
                    let text = format!("they print {lines} lines, which are ignored: {first}");
                    let cure = "let start-up files print only if the shell is interactive";
                    self.find(
                        Check::StartUpFiles,
                        Status::Remark,
                        text,
                        Some(cure.to_owned()),
                    );
                }
                HostNote::Redeployed { path } => {
                    let text = format!("{path} was damaged and has been replaced");
                    self.find(Check::Worker, Status::Remark, text, None);
                }
                HostNote::DirectorySkipped { path, cause } => {
                    let text = format!("{path} cannot hold the worker: {cause}");
                    self.find(Check::Worker, Status::Remark, text, None);
                }
                HostNote::Agent(AgentNote::Text(text)) => {
                    self.find(Check::Preparation, Status::Remark, text, None);
                }
                HostNote::Agent(_) | HostNote::Sent { .. } => {}
            }
        }
        if quiet {
            self.good(Check::StartUpFiles, "silent".to_owned());
        }
    }

    fn look_at_load(&mut self, report: &HostReport) {
        let per_core = f64::from(report.load_hundredths) / 100.0 / f64::from(report.cores.max(1));
        let text = format!("{per_core:.2} per core");
        match self.max_load {
            Some(limit) if per_core > limit => {
                let text = format!("{text}, above max_load {limit}: no job would start now");
                let cure = "wait, or raise `max_load` in hosts.toml".to_owned();
                self.find(Check::Load, Status::Remark, text, Some(cure));
            }
            _ => self.good(Check::Load, text),
        }
    }

    fn look_at_preparation(&mut self, report: &HostReport) {
        let containment = match report.containment {
            Containment::Subreaper => "subreapers: found by walking /proc",
            Containment::PidNamespace => "a process namespace: ended by the kernel",
            Containment::ControlGroup => "a control group: ended by the kernel",
            Containment::Threads => "nothing: slots are threads of this process",
        };
        self.good(Check::Containment, containment.to_owned());
        for Swept { what, .. } in &report.swept {
            let text = format!("left by a former run and removed: {what}");
            self.find(Check::Preparation, Status::Remark, text, None);
        }
        for other in &report.neighbours {
            let text = format!(
                "run {} is there too, with {} slots (release {})",
                other.run, other.slots, other.release
            );
            self.find(Check::Preparation, Status::Remark, text, None);
        }
        match &report.directory {
            DirectoryReport::Shared { path } => {
                self.good(Check::Directory, format!("shared, as {}", shown(path)));
            }
            DirectoryReport::Scratch { path, reason: None } => {
                self.good(Check::Directory, format!("scratch in {}", shown(path)));
            }
            DirectoryReport::Scratch {
                path,
                reason: Some(reason),
            } => {
                let text = format!("{reason}; jobs start in {}", shown(path));
                let cure = "if it is shared under another path, say so by `mirrored_storage` in hosts.toml";
                self.find(
                    Check::Directory,
                    Status::Remark,
                    text,
                    Some(cure.to_owned()),
                );
            }
        }
    }

    fn look_at_mirrors(&mut self, report: &HostReport) {
        for mirror in &report.mirrors {
            let path = shown(&mirror.path);
            match &mirror.problem {
                None => self.good(Check::Mirrors, format!("{path} is shared")),
                Some(problem) => {
                    let text = format!("{path} is not this computer's directory: {problem}");
                    let cure = "correct or remove the entry in `mirrored_storage` of hosts.toml";
                    self.find(Check::Mirrors, Status::Remark, text, Some(cure.to_owned()));
                }
            }
        }
    }

    fn look_at_clock(&mut self, report: &HostReport, round_trip: Duration, now: SystemTime) {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        // The host gives whole seconds, half a second too few on the average, and half a round trip ago.
        let there = report.clock as f64 + 0.5 + round_trip.as_secs_f64() / 2.0;
        let ahead = there - now.as_secs_f64();
        if ahead.abs() <= CLOCK_LIMIT {
            return self.good(Check::Clock, "as here".to_owned());
        }
        let (seconds, side) = (
            ahead.abs().round(),
            if ahead > 0.0 { "ahead" } else { "behind" },
        );
        let text = format!("{seconds} s {side}");
        let cure =
            "COS is not affected, but `make` and file times on a shared disk are: run NTP on both";
        self.find(Check::Clock, Status::Remark, text, Some(cure.to_owned()));
    }

    fn look_at_session(&mut self, report: &HostReport) {
        if !report.kills_user_processes {
            return self.good(Check::Session, "processes may outlive it".to_owned());
        }
        let text = "logind ends every process with its session (KillUserProcesses=yes)".to_owned();
        let cure =
            "a lost connection ends the jobs there at once; `loginctl enable-linger` there helps";
        self.find(Check::Session, Status::Remark, text, Some(cure.to_owned()));
    }
}

fn shown(path: &[u8]) -> String {
    Path::new(OsStr::from_bytes(path)).display().to_string()
}

/// Which check a failure is an answer to.
fn failed_check(failure: &HostFailure) -> Check {
    match failure.stage {
        Stage::Connecting => {
            let about_key = ["login", "host key"];
            match about_key.iter().any(|word| failure.headline.contains(word)) {
                true => Check::Key,
                false => Check::Reach,
            }
        }
        Stage::Probing | Stage::Uploading { .. } | Stage::Starting => Check::Worker,
        Stage::Preparing | Stage::Running => Check::Preparation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::HostName;
    use crate::ssh::{AgentKeys, Circumstances, Ending, diagnose};

    #[test]
    fn a_failure_answers_the_check_that_it_is_about() {
        let host = HostName::parse("ws02").unwrap();
        let check = |words: &[u8]| {
            let circumstances = Circumstances {
                host: &host,
                ssh_config: None,
                connect_timeout: Duration::from_secs(10),
                keys: AgentKeys::Some,
            };
            let diagnosis = diagnose(Ending::Exited(255), words);
            failed_check(&diagnosis.host_failure(Stage::Connecting, &circumstances))
        };
        assert_eq!(
            check(b"ana@ws02: Permission denied (publickey).\n"),
            Check::Key
        );
        assert_eq!(check(b"Host key verification failed.\n"), Check::Key);
        let refused = b"ssh: connect to host ws02 port 22: Connection refused\n";
        assert_eq!(check(refused), Check::Reach);
        let unknown = b"ssh: Could not resolve hostname ws02: Name or service not known\n";
        assert_eq!(check(unknown), Check::Reach);
    }

    #[test]
    fn clocks_are_compared_to_the_second() {
        let found = |clock: u64, now: f64| {
            let mut patient = Patient::new("ws01".to_owned(), None);
            let report = HostReport {
                clock,
                ..empty_report()
            };
            let now = UNIX_EPOCH + Duration::from_secs_f64(now);
            patient.look_at_clock(&report, Duration::from_millis(100), now);
            patient.findings.remove(0).text
        };
        assert_eq!(found(1000, 1000.9), "as here");
        assert_eq!(found(1000, 999.5), "as here");
        assert_eq!(found(1000, 1060.5), "60 s behind");
        assert_eq!(found(1000, 960.5), "40 s ahead");
    }

    fn empty_report() -> HostReport {
        HostReport {
            node: "ws01".to_owned(),
            system: "x86_64 Linux".to_owned(),
            kernel: "6.1".to_owned(),
            cores: 4,
            slots: 4,
            memory_kib: 1 << 20,
            load_hundredths: 0,
            clock: 0,
            containment: Containment::Subreaper,
            directory: DirectoryReport::Scratch {
                path: b"/x".to_vec().into(),
                reason: None,
            },
            kills_user_processes: false,
            neighbours: Vec::new(),
            swept: Vec::new(),
            mirrors: Vec::new(),
            cleared: None,
        }
    }

    #[test]
    fn a_busy_host_is_told_before_it_is_waited_for() {
        let mut patient = Patient::new("ws01".to_owned(), Some(0.8));
        let report = HostReport {
            load_hundredths: 400,
            ..empty_report()
        };
        patient.look_at_load(&report);
        let finding = &patient.findings[0];
        assert_eq!(finding.status, Status::Remark);
        assert_eq!(
            finding.text,
            "1.00 per core, above max_load 0.8: no job would start now"
        );
    }
}
