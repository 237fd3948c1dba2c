//! `{m}`: names the paths of a job as its host sees them, at the moment when the host is known.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf, absolute};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cos_core::ids::HostId;
use cos_core::job::{AttemptResult, CommandJob};
use cos_core::vm::host::{HostInfo, HostNote, HostSpec};
use cos_core::vm::{VirtualMachine, VmCommand, VmEvent};
use cos_core::wire::message::{AgentNote, DirectoryReport, HostReport};
use cos_ssh_vm::inventory::Inventory;
use cos_ssh_vm::{Mirrors, SshVm, SshVmError};

use super::jobs::JobRecords;

/// Where this machine's files are on the hosts.
#[derive(Debug)]
pub(super) struct Mapping {
    mirrors: Mirrors,
    /// The directory that jobs start in, if it is to be this machine's.
    directory: Option<PathBuf>,
    /// For each host whether it is this machine itself.
    local: Vec<bool>,
}

impl Mapping {
    /// For the enabled hosts of `inventory`.
    pub(super) fn new(
        inventory: &Inventory,
        directory: Option<PathBuf>,
    ) -> Result<Self, SshVmError> {
        let directory = directory.and_then(|path| absolute(path).ok());
        let local = inventory.enabled().map(|host| host.name.is_local());
        Ok(Self {
            mirrors: Mirrors::new(inventory)?,
            directory,
            local: local.collect(),
        })
    }

    /// Whether any host could see a path; the reason why none does.
    pub(super) fn check(&self, path: &[u8]) -> Result<(), String> {
        let path = as_path(path);
        if self.local.contains(&true) || self.below_directory(path).is_some() {
            return Ok(());
        }
        self.mirrors.locate(path).map(drop)
    }

    /// The path on a host that has reported what it shares.
    fn path_on(&self, host: HostId, report: &HostReport, path: &[u8]) -> Result<PathBuf, String> {
        let path = as_path(path);
        if self.local.get(host.0 as usize) == Some(&true) {
            return absolute(path).map_err(|error| error.to_string());
        }
        if let DirectoryReport::Shared { path: directory } = &report.directory
            && let Some(below) = self.below_directory(path)
        {
            return Ok(as_path(directory).join(below));
        }
        let located = self.mirrors.locate(path)?;
        let entry = located.index().map(usize::from);
        let Some(entry) = entry.and_then(|index| report.mirrors.get(index)) else {
            return Err(format!("nobody knows where {} is there", path.display()));
        };
        match &entry.problem {
            None => Ok(located.under(as_path(&entry.path))),
            Some(problem) => Err(format!(
                "{} is not this computer's directory: {problem}",
                as_path(&entry.path).display()
            )),
        }
    }

    /// The path from the jobs' directory to a file below it.
    fn below_directory(&self, path: &Path) -> Option<PathBuf> {
        let path = absolute(path).ok()?;
        let below = path.strip_prefix(self.directory.as_ref()?).ok()?;
        let plain = |component| matches!(component, Component::Normal(_));
        below.components().all(plain).then(|| below.to_owned())
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// A machine that completes the commands of jobs for their hosts.
///
/// A job does not start on a host that has not proved to share the files it names: the host is to blame then, and the
/// job goes to another.
pub(super) struct MappedMachine {
    machine: SshVm,
    jobs: JobRecords,
    mapping: Option<Rc<Mapping>>,
    /// What each host that is up has told of itself.
    hosts: HashMap<HostId, Arc<HostInfo>>,
    /// Ends of attempts that were not started, and why.
    refused: VecDeque<VmEvent>,
    /// The hosts of which that was told: once is enough.
    told: HashSet<HostId>,
    /// Who waits for events.
    waker: Option<Waker>,
}

impl MappedMachine {
    /// Commands without paths to be mapped pass as they are.
    pub(super) fn new(machine: SshVm, jobs: JobRecords, mapping: Option<Rc<Mapping>>) -> Self {
        Self {
            machine,
            jobs,
            mapping,
            hosts: HashMap::new(),
            refused: VecDeque::new(),
            told: HashSet::new(),
            waker: None,
        }
    }

    /// The job as `host` is to run it, if that is not as it stands.
    fn mapped(&self, host: HostId, job: &CommandJob) -> Result<Option<CommandJob>, String> {
        let Some(mapping) = &self.mapping else {
            return Ok(None);
        };
        let record = self.jobs.of(job.sequence);
        let Some(command) = record.as_ref().and_then(|record| record.to_map.as_ref()) else {
            return Ok(None);
        };
        let Some(info) = self.hosts.get(&host) else {
            return Err("the host has told nothing of its directories".to_owned());
        };
        let program = command.program(|path| {
            let path = mapping.path_on(host, &info.report, path);
            path.map(|path| path.into_os_string().into_vec())
                .map_err(Unmapped)
        });
        Ok(Some(CommandJob {
            program: program.map_err(|error| error.to_string())?,
            ..job.clone()
        }))
    }
}

/// Why a host does not see a path.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unmapped(String);

impl VirtualMachine for MappedMachine {
    fn hosts(&self) -> &[HostSpec] {
        self.machine.hosts()
    }

    fn submit(&mut self, command: VmCommand) {
        let VmCommand::Start {
            host,
            attempt,
            try_number,
            amounts,
            work,
        } = command
        else {
            return self.machine.submit(command);
        };
        let mapped = work.command().map(|job| self.mapped(host, job));
        let work = match mapped.unwrap_or(Ok(None)) {
            Ok(None) => work,
            Ok(Some(mapped)) => Arc::new(mapped.into()),
            Err(cause) => {
                if self.told.insert(host) {
                    let note = HostNote::Agent(AgentNote::Text(cause.clone()));
                    self.refused.push_back(VmEvent::Note { host, note });
                }
                let result = AttemptResult::NotStarted { cause };
                self.refused.push_back(VmEvent::Ended {
                    host,
                    attempt,
                    result,
                });
                if let Some(waker) = self.waker.take() {
                    waker.wake();
                }
                return;
            }
        };
        self.machine.submit(VmCommand::Start {
            host,
            attempt,
            try_number,
            amounts,
            work,
        });
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<VmEvent>> {
        if let Some(event) = self.refused.pop_front() {
            return Poll::Ready(Some(event));
        }
        let event = self.machine.poll_event(context);
        match &event {
            Poll::Ready(Some(VmEvent::Up { host, info })) => {
                self.hosts.insert(*host, Arc::clone(info));
            }
            Poll::Ready(_) => {}
            Poll::Pending => self.waker = Some(context.waker().clone()),
        }
        event
    }

    fn shutdown(&mut self, grace: Duration, limit: Duration) {
        self.machine.shutdown(grace, limit);
    }
}
