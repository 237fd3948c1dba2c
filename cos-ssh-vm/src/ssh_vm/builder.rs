//! The choices for an `SshVm`, and how one is made of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cos_core::ids::HostId;
use cos_core::vm::agent::launcher::Launcher;
use cos_core::vm::agent::{AgentHost, AgentVm};
use cos_core::vm::host::HostSpec as KernelHost;
use cos_core::vm::local::LocalLauncher;
use cos_core::wire::message::Preparation;

use super::SshVm;
use super::ahead::Ahead;
use super::error::SshVmError;
use super::mirrors::Mirrors;
use super::preparation::{Common, StartDirectory, existing_directory, preparation};
use super::proofs::{Proofs, ProvingLauncher};
use crate::deploy::{Worker, Workers};
use crate::inventory::{Environment, HostSpec, Inventory, LocalStorage, Request};
use crate::launcher::SshLauncher;
use crate::session::{Admission, ControlDirectory, Reach};

/// The length of a run's id that nobody has chosen.
const RUN_ID: usize = 8;

/// The choices for an [`SshVm`]. Made by [`SshVm::builder`].
#[derive(Debug)]
#[must_use = "a machine exists once it is started"]
pub struct SshVmBuilder {
    inventory: Option<Inventory>,
    run: Option<String>,
    own_worker: Option<Worker>,
    workers: BTreeMap<String, PathBuf>,
    local: LocalLauncher,
    directory: Option<StartDirectory>,
    prove_mirrors: bool,
    clear_stores: bool,
    environment: BTreeMap<OsString, OsString>,
}

impl SshVmBuilder {
    pub(super) fn new() -> Self {
        Self {
            inventory: None,
            run: None,
            own_worker: None,
            workers: BTreeMap::new(),
            local: LocalLauncher::this_program(),
            directory: None,
            prove_mirrors: false,
            clear_stores: false,
            environment: BTreeMap::new(),
        }
    }

    /// The hosts. If not said, they are those that `cos run` would find here: of the file that `COS_HOSTS` names, of the nearest
    /// hosts.toml in this directory or above it, of the user's or the system's, and else this machine alone.
    pub fn inventory(mut self, inventory: Inventory) -> Self {
        self.inventory = Some(inventory);
        self
    }

    /// The id of the run, which names directories on the hosts: at most 32 letters, digits and hyphens. A random one if
    /// not said.
    pub fn run(mut self, id: impl Into<String>) -> Self {
        self.run = Some(id.into());
        self
    }

    /// The worker for hosts of a target; this program itself serves those of its own if not said. For a target that the
    /// inventory has a worker for, that one is used instead. A file that cannot be read matters to hosts that need it alone.
    pub fn worker(mut self, target: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.workers.insert(target.into(), path.into());
        self
    }

    /// The worker in the place of this program, as [`worker`](Self::worker) and the inventory leave it to it.
    pub fn own_worker(mut self, worker: Worker) -> Self {
        self.own_worker = Some(worker);
        self
    }

    /// How the agent of this machine is started; as this very program if not said.
    pub fn local(mut self, launcher: LocalLauncher) -> Self {
        self.local = launcher;
        self
    }

    /// Where jobs start; in this process's current directory, on hosts that share it, if not said.
    pub fn directory(mut self, directory: StartDirectory) -> Self {
        self.directory = Some(directory);
        self
    }

    /// Asks every host to prove every entry of the mirrored storage, for its report. It takes a host some seconds where
    /// an entry lies on a network file system and is not shared.
    pub fn prove_mirrors(mut self) -> Self {
        self.prove_mirrors = true;
        self
    }

    /// Has every host empty its store of files, but for what runs are using.
    pub fn clear_stores(mut self) -> Self {
        self.clear_stores = true;
        self
    }

    /// Sets a variable for every job, over those of the host and of the inventory.
    pub fn environment(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Makes the machine and connects its hosts, all at once. Returns when the first is ready; the others go on, and an OS
    /// takes each as if it had connected it itself. Every host proves the mirrored storage, and this process translates
    /// paths by the inventory's list from now on (`AbstractPath::of`). To be awaited on a tokio runtime. Dropping the future ends what was
    /// begun, on this machine and on the hosts.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start), and [`SshVmError::NoHostReady`] when no host could be made ready.
    pub async fn connect(self) -> Result<SshVm, SshVmError> {
        // Tasks name files as their host sees them, so every host proves what is mirrored.
        let mut machine = Self {
            prove_mirrors: true,
            ..self
        }
        .start()?;
        machine.first_ready().await?;
        Ok(machine)
    }

    /// Makes the machine; no host is reached. It may write token files in shared directories, which are there while hosts connect and never
    /// longer than the machine, and raise this process's soft limit of open files if there are many ssh hosts.
    ///
    /// # Errors
    ///
    /// [`SshVmError`]; no ssh has been started then.
    pub fn start(self) -> Result<SshVm, SshVmError> {
        let inventory = match self.inventory {
            Some(inventory) => inventory,
            None => found()?,
        };
        let run = self.run.unwrap_or_else(random_run);
        check_run(&run)?;
        let hosts: Vec<&HostSpec> = inventory.enabled().collect();
        if hosts.is_empty() {
            return Err(SshVmError::NoHosts);
        }
        let directory = match self.directory {
            Some(StartDirectory::Shared(path)) => StartDirectory::Shared(checked_directory(&path)?),
            Some(StartDirectory::Scratch) => StartDirectory::Scratch,
            None => StartDirectory::Shared(current_directory()?),
        };
        let mirrors = Mirrors::new(&inventory)?;
        let all_local = hosts.iter().all(|host| host.name.is_local());
        let token = match &directory {
            StartDirectory::Shared(path) if !all_local => mirrors.plant(path),
            _ => None,
        };
        let entry_tokens = match self.prove_mirrors {
            true => mirrors.plant_all(),
            false => Vec::new(),
        };
        if let Some(own) = mirrors.own().filter(|_| self.prove_mirrors) {
            cos_storage::set_process_storage(own.clone());
        }
        let common = Common {
            run,
            environment: self.environment,
            directory,
            token,
            mirrors,
            entry_tokens,
            clear_stores: self.clear_stores,
        };
        let ssh = match all_local {
            true => None,
            false => {
                let workers = workers(&inventory, self.own_worker, self.workers)?;
                Some(SshParts::new(workers, hosts.len())?)
            }
        };
        let preparations: Vec<Preparation> = (0..)
            .map(HostId)
            .zip(&hosts)
            .map(|(id, host)| preparation(&common, id, host))
            .collect();
        let tokens = common.token.into_iter().chain(common.entry_tokens);
        let proofs = Proofs::new(tokens.flatten().collect())
            .map_err(|source| SshVmError::Start { source })?;
        let proofs = Arc::new(proofs);
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
        let ahead = Ahead::new(agent_hosts.len());
        let machine = AgentVm::new(agent_hosts).map_err(|source| SshVmError::Start { source })?;
        Ok(SshVm {
            machine,
            ahead,
            proofs,
            removal: None,
        })
    }
}

/// What the launchers of all ssh hosts share.
struct SshParts {
    workers: Arc<Workers>,
    control: Arc<ControlDirectory>,
    admission: Arc<Admission>,
}

impl SshParts {
    fn new(workers: Workers, hosts: usize) -> Result<Self, SshVmError> {
        super::descriptors::allow_for(hosts);
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

/// The hosts as `cos run` finds them.
fn found() -> Result<Inventory, SshVmError> {
    let environment =
        Environment::of_process().map_err(|source| SshVmError::CurrentDirectory { source })?;
    Ok(Inventory::find(&Request::default(), &environment)?)
}

fn current_directory() -> Result<PathBuf, SshVmError> {
    std::env::current_dir().map_err(|source| SshVmError::CurrentDirectory { source })
}

fn random_run() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .take(RUN_ID)
        .collect()
}

/// What can be deployed, in the order of preference: what the inventory names, what the program names, the program itself.
fn workers(
    inventory: &Inventory,
    own: Option<Worker>,
    named: BTreeMap<String, PathBuf>,
) -> Result<Workers, SshVmError> {
    let mut workers = Workers::new();
    let is_named = |target: &str| inventory.workers.contains_key(target);
    let named = named.into_iter().filter(|(target, _)| !is_named(target));
    for (target, path) in inventory.workers.clone().into_iter().chain(named) {
        workers.add_file(&target, &path);
    }
    let own = match own {
        Some(own) => own,
        None => Worker::this_program().map_err(|source| SshVmError::Worker { source })?,
    };
    if workers.for_target(own.target()).is_none() && !is_named(own.target()) {
        workers.add(own);
    }
    Ok(workers)
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
