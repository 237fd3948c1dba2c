//! Examines hosts: everything that a start can tell about each, with what to do about it. Nothing is printed here.

mod patient;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::time::{Duration, SystemTime};

use cos_core::ids::HostId;
use cos_core::vm::{VirtualMachine, VmCommand, VmEvent};

use self::patient::Patient;

/// What is looked at, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// Whether it answers.
    Reach,
    /// Whether host key and login are accepted.
    Key,
    /// What its start-up files print.
    StartUpFiles,
    /// Its architecture and system.
    Architecture,
    /// Its cores, slots and memory.
    Cores,
    /// What others do there.
    Load,
    /// The worker: where it can lie, whether it had to be sent.
    Worker,
    /// Whether the host can be made ready for jobs: setup, shell, scratch.
    Preparation,
    /// What keeps a job's processes together.
    Containment,
    /// Whether this computer's directory is shared.
    Directory,
    /// Which entries of the mirrored storage are this computer's.
    Mirrors,
    /// How far its clock is from this computer's.
    Clock,
    /// Whether its session manager lets processes outlive their session.
    Session,
}

impl Check {
    /// Its word in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reach => "reach",
            Self::Key => "key",
            Self::StartUpFiles => "start-up files",
            Self::Architecture => "architecture",
            Self::Cores => "cores",
            Self::Load => "load",
            Self::Worker => "worker",
            Self::Preparation => "preparation",
            Self::Containment => "containment",
            Self::Directory => "directory",
            Self::Mirrors => "mirrors",
            Self::Clock => "clock",
            Self::Session => "session",
        }
    }
}

/// How good what was found is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// As it should be.
    Good,
    /// Jobs run, but not as well as they could, or not as their user may think.
    Remark,
    /// No job runs there.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// How good it is.
    pub status: Status,
    /// What was found; several lines are possible. Comes in part from the host: to be escaped before it is shown.
    pub text: String,
    /// What the user can do, if anything is to be done.
    pub cure: Option<String>,
}

/// What was found about one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    /// The host's name as the user wrote it.
    pub host: String,
    /// In the order of the checks; what could not be looked at is missing.
    pub findings: Vec<Finding>,
}

impl Examination {
    /// The worst of the findings.
    pub fn status(&self) -> Status {
        let statuses = self.findings.iter().map(|finding| finding.status);
        statuses.max().unwrap_or(Status::Good)
    }
}

/// Connects every host of `machine`, looks at it, and disconnects it. Ends when every host has answered or failed,
/// each by its own deadlines. Dropping the future leaves hosts connected; dropping the machine then ends them.
///
/// No command may have been submitted before.
pub async fn examine<M: VirtualMachine>(machine: &mut M) -> Vec<Examination> {
    let specs = machine.hosts().to_vec();
    let mut open = BTreeMap::new();
    for (id, spec) in (0..).map(HostId).zip(&specs) {
        let limit = spec.max_load;
        open.insert(id, Patient::new(spec.name.clone(), limit));
        machine.submit(VmCommand::Connect { host: id });
    }
    let mut patients = BTreeMap::new();
    while !open.is_empty() {
        let Some(event) = poll_fn(|context| machine.poll_event(context)).await else {
            break;
        };
        let (host, left) = match event {
            VmEvent::Note { host, note } => {
                if let Some(patient) = open.get_mut(&host) {
                    patient.notice(note);
                }
                continue;
            }
            VmEvent::Up { host, info } => {
                if let Some(patient) = open.get_mut(&host) {
                    patient.is_up(&info, SystemTime::now());
                }
                machine.submit(VmCommand::Disconnect {
                    host,
                    grace: Duration::ZERO,
                });
                continue;
            }
            VmEvent::Failed { host, failure } => {
                if let Some(patient) = open.get_mut(&host) {
                    patient.has_failed(&failure);
                }
                (host, Vec::new())
            }
            VmEvent::Lost { host, loss } => (host, vec![loss.to_string()]),
            VmEvent::Closed { host, left } => (host, left),
            _ => continue,
        };
        if let Some(mut patient) = open.remove(&host) {
            for text in left {
                let cure = Some("look there by hand".to_owned());
                patient.find(Check::Session, Status::Remark, text, cure);
            }
            patients.insert(host, patient.examination());
        }
    }
    patients.extend(open.into_iter().map(|(id, it)| (id, it.examination())));
    patients.into_values().collect()
}
