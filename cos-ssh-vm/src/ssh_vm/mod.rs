//! The virtual machine of an inventory: ssh hosts and this machine side by side.

mod descriptors;
mod error;
mod mirrors;
mod preparation;
mod proofs;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cos_core::ids::HostId;
use cos_core::vm::agent::launcher::Launcher;
use cos_core::vm::agent::{AgentHost, AgentVm};
use cos_core::vm::host::HostSpec as KernelHost;
use cos_core::vm::local::LocalLauncher;
use cos_core::vm::{VirtualMachine, VmCommand, VmEvent};
use cos_core::wire::message::Preparation;

pub use self::error::SshVmError;
pub use self::mirrors::Mirrors;
pub use self::preparation::StartDirectory;
use self::preparation::{Common, existing_directory, preparation};
use self::proofs::{Proofs, ProvingLauncher};
use crate::deploy::{Worker, Workers};
use crate::inventory::{HostSpec, Inventory, LocalStorage};
use crate::launcher::SshLauncher;
use crate::session::{Admission, ControlDirectory, Reach};

/// The hosts of an inventory as one virtual machine.
///
/// No host is reached before it is asked to [connect](VmCommand::Connect). Hosts named `local` need no ssh.
pub struct SshVm {
    machine: AgentVm,
    proofs: Arc<Proofs>,
}

impl SshVm {
    /// A machine of the enabled hosts of `inventory`, for the run of this id (at most 32 letters, digits and hyphens;
    /// it names directories on the hosts).
    pub fn builder(inventory: &Inventory, run: impl Into<String>) -> SshVmBuilder<'_> {
        SshVmBuilder {
            inventory,
            run: run.into(),
            workers: Vec::new(),
            local: LocalLauncher::this_program(),
            directory: StartDirectory::Scratch,
            prove_mirrors: false,
            environment: BTreeMap::new(),
        }
    }
}

impl VirtualMachine for SshVm {
    fn hosts(&self) -> &[KernelHost] {
        self.machine.hosts()
    }

    fn submit(&mut self, command: VmCommand) {
        self.machine.submit(command);
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<VmEvent>> {
        let event = self.machine.poll_event(context);
        if let Poll::Ready(Some(
            VmEvent::Up { host, .. }
            | VmEvent::Failed { host, .. }
            | VmEvent::Lost { host, .. }
            | VmEvent::Closed { host, .. },
        )) = &event
        {
            self.proofs.end(*host);
        }
        event
    }

    fn shutdown(&mut self, grace: Duration, limit: Duration) {
        self.machine.shutdown(grace, limit);
    }
}

impl Drop for SshVm {
    fn drop(&mut self) {
        self.proofs.close();
    }
}

/// The choices for an [`SshVm`]. Made by [`SshVm::builder`].
#[derive(Debug)]
#[must_use = "a machine exists once it is started"]
pub struct SshVmBuilder<'a> {
    inventory: &'a Inventory,
    run: String,
    workers: Vec<Worker>,
    local: LocalLauncher,
    directory: StartDirectory,
    prove_mirrors: bool,
    environment: BTreeMap<OsString, OsString>,
}

impl SshVmBuilder<'_> {
    /// Adds a worker executable. One that the inventory names for the same target is used instead.
    pub fn worker(mut self, worker: Worker) -> Self {
        self.workers.push(worker);
        self
    }

    /// How the agent of this machine is started; as this very program if not said.
    pub fn local(mut self, launcher: LocalLauncher) -> Self {
        self.local = launcher;
        self
    }

    /// Where jobs start; in scratch directories if not said.
    pub fn directory(mut self, directory: StartDirectory) -> Self {
        self.directory = directory;
        self
    }

    /// Asks every host to prove every entry of the mirrored storage, for its report. It takes a host some seconds where
    /// an entry lies on a network file system and is not shared.
    pub fn prove_mirrors(mut self) -> Self {
        self.prove_mirrors = true;
        self
    }

    /// Sets a variable for every job, over those of the host and of the inventory.
    pub fn environment(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Makes the machine. It may write token files in shared directories, which are there while hosts connect and never
    /// longer than the machine, and raise this process's soft limit of open files if there are many ssh hosts.
    ///
    /// # Errors
    ///
    /// [`SshVmError`]; no ssh has been started then.
    pub fn start(self) -> Result<SshVm, SshVmError> {
        check_run(&self.run)?;
        let hosts: Vec<&HostSpec> = self.inventory.enabled().collect();
        if hosts.is_empty() {
            return Err(SshVmError::NoHosts);
        }
        let directory = match self.directory {
            StartDirectory::Shared(path) => StartDirectory::Shared(checked_directory(&path)?),
            StartDirectory::Scratch => StartDirectory::Scratch,
        };
        let mirrors = Mirrors::new(self.inventory)?;
        let all_local = hosts.iter().all(|host| host.name.is_local());
        let token = match &directory {
            StartDirectory::Shared(path) if !all_local => mirrors.plant(path),
            _ => None,
        };
        let entry_tokens = match self.prove_mirrors {
            true => mirrors.plant_all(),
            false => Vec::new(),
        };
        let common = Common {
            run: self.run,
            environment: self.environment,
            directory,
            token,
            mirrors,
            entry_tokens,
        };
        let ssh = match all_local {
            true => None,
            false => Some(SshParts::new(self.inventory, self.workers, hosts.len())?),
        };
        let preparations: Vec<Preparation> = (0..)
            .map(HostId)
            .zip(&hosts)
            .map(|(id, host)| preparation(&common, id, host))
            .collect();
        let tokens = common.token.into_iter().chain(common.entry_tokens);
        let proofs = Arc::new(Proofs::new(tokens.flatten().collect()));
        let mut agent_hosts = Vec::new();
        for ((id, host), preparation) in (0..).map(HostId).zip(hosts).zip(preparations) {
            let launcher: Box<dyn Launcher> = match &ssh {
                Some(ssh) if !host.name.is_local() => Box::new(ProvingLauncher {
                    ssh: ssh.launcher(host),
                    host: id,
                    proofs: Arc::clone(&proofs),
                }),
                _ => Box::new(self.local.clone()),
            };
            agent_hosts.push(AgentHost {
                spec: KernelHost {
                    name: host.name.to_string(),
                    tags: host.tags.clone(),
                    max_load: host.max_load,
                },
                launcher,
                preparation,
            });
        }
        let machine = AgentVm::new(agent_hosts).map_err(|source| SshVmError::Start { source })?;
        Ok(SshVm { machine, proofs })
    }
}

/// What the launchers of all ssh hosts share.
struct SshParts {
    workers: Arc<Workers>,
    control: Arc<ControlDirectory>,
    admission: Arc<Admission>,
}

impl SshParts {
    fn new(inventory: &Inventory, own: Vec<Worker>, hosts: usize) -> Result<Self, SshVmError> {
        let mut workers = Workers::new();
        for (target, path) in &inventory.workers {
            workers.add_file(target, path);
        }
        for worker in own {
            if !inventory.workers.contains_key(worker.target()) {
                workers.add(worker);
            }
        }
        descriptors::allow_for(hosts);
        let control =
            ControlDirectory::new().map_err(|source| SshVmError::ControlDirectory { source })?;
        Ok(Self {
            workers: Arc::new(workers),
            control: Arc::new(control),
            admission: Arc::new(Admission::new(hosts)),
        })
    }

    fn launcher(&self, host: &HostSpec) -> SshLauncher {
        let reach = Reach {
            host: host.name.clone(),
            ssh_config: host.ssh_config.clone(),
            host_keys: host.host_keys,
            connect_timeout: host.connect_timeout,
            silence: host.lease,
        };
        // The built-in directory is among those that are tried anyway, under a name that cannot be taken by others.
        let storage = (host.local_storage != LocalStorage::default())
            .then(|| host.local_storage.as_str().to_owned());
        SshLauncher::new(reach, Arc::clone(&self.workers), Arc::clone(&self.control))
            .target(host.target.clone())
            .storage(storage)
            .admission(Arc::clone(&self.admission))
    }
}

fn check_run(run: &str) -> Result<(), SshVmError> {
    let good = run.len() <= 32
        && run.starts_with(|c: char| c.is_ascii_alphanumeric())
        && run.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    match good {
        true => Ok(()),
        false => Err(SshVmError::RunId {
            run: run.escape_debug().to_string(),
        }),
    }
}

fn checked_directory(path: &Path) -> Result<std::path::PathBuf, SshVmError> {
    existing_directory(path).map_err(|source| SshVmError::Directory {
        path: path.to_string_lossy().escape_debug().to_string(),
        source,
    })
}
