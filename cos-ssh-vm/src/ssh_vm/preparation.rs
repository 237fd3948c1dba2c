//! How jobs are to see a host: what is told to its agent.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cos_core::ids::HostId;
use cos_core::wire::message::{Mirror, Preparation, RunDirectory, SlotCount as AgentSlots};
use cos_storage::{MirrorEntry, PlantedToken};
use serde_bytes::ByteBuf;

use super::mirrors::Mirrors;
use crate::inventory::{HostSpec, SlotCount};

/// How long a setup script may take (5 min): modules come from slow network file systems.
const SETUP_LIMIT: Duration = Duration::from_secs(300);

/// The directory that jobs start in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartDirectory {
    /// This directory of this machine, on each host where it is proved to be the same; an empty scratch directory
    /// elsewhere.
    Shared(PathBuf),
    /// An empty scratch directory of the run on each host.
    Scratch,
}

/// What all hosts of a machine are told alike.
pub(super) struct Common {
    pub(super) run: String,
    pub(super) environment: BTreeMap<OsString, OsString>,
    pub(super) directory: StartDirectory,
    /// The token of a shared directory, or why none could be planted; `None` where none is needed, or nothing is shared.
    pub(super) token: Option<Result<PlantedToken, String>>,
    pub(super) mirrors: Mirrors,
    /// The token of each entry of the mirrored storage, where every host is to prove them.
    pub(super) entry_tokens: Vec<Result<PlantedToken, String>>,
    /// Every host is to empty its store.
    pub(super) clear_stores: bool,
}

/// What the agent of one host is told.
pub(super) fn preparation(common: &Common, id: HostId, host: &HostSpec) -> Preparation {
    let own: BTreeMap<&OsStr, &OsStr> = host
        .env
        .iter()
        .map(|(name, value)| (name.as_ref(), value.as_ref()))
        .chain(
            common
                .environment
                .iter()
                .map(|(name, value)| (name.as_os_str(), value.as_os_str())),
        )
        .collect();
    Preparation {
        run: common.run.clone(),
        host: host.name.to_string(),
        nice: host.nice,
        shell: host.shell.clone(),
        setup: host.setup.clone(),
        setup_timeout: SETUP_LIMIT,
        environment: own
            .into_iter()
            .map(|(name, value)| (bytes(name), bytes(value)))
            .collect(),
        directory: directory(common, id, host),
        local_storage: host.local_storage.as_str().to_owned(),
        slots: agent_slots(host.slots),
        lease: host.lease,
        mirrors: mirrors(common, id, host),
        own_storage: own_storage(common, host),
        clear_store: common.clear_stores,
    }
}

fn directory(common: &Common, id: HostId, host: &HostSpec) -> RunDirectory {
    let StartDirectory::Shared(path) = &common.directory else {
        return RunDirectory::Scratch { reason: None };
    };
    if host.name.is_local() {
        let path = bytes(path.as_os_str());
        return RunDirectory::Here { path };
    }
    match &common.token {
        None => RunDirectory::Scratch { reason: None },
        Some(Err(reason)) => RunDirectory::Scratch {
            reason: Some(reason.clone()),
        },
        Some(Ok(token)) => RunDirectory::Proven {
            paths: places(common, id, path),
            token: token.token().clone(),
        },
    }
}

fn mirrors(common: &Common, id: HostId, host: &HostSpec) -> Vec<Mirror> {
    if host.name.is_local() {
        return Vec::new();
    }
    let mirror = |(entry, token): (&MirrorEntry, &Result<PlantedToken, String>)| Mirror {
        paths: places(common, id, entry.configured()),
        token: match token {
            Ok(planted) => Ok(planted.token().clone()),
            Err(reason) => Err(reason.clone()),
        },
    };
    let entries = common.mirrors.entries().iter();
    entries.zip(&common.entry_tokens).map(mirror).collect()
}

/// What needs no proof: this machine's own list, for tasks that run here.
fn own_storage(common: &Common, host: &HostSpec) -> Option<Vec<ByteBuf>> {
    let entries = common.mirrors.entries().iter();
    let entries = entries.map(|entry| bytes(entry.configured().as_os_str()));
    host.name.is_local().then(|| entries.collect())
}

/// Where a directory of this machine may be on a host.
fn places(common: &Common, id: HostId, path: &Path) -> Vec<ByteBuf> {
    let paths = common.mirrors.candidates(id, path);
    paths.iter().map(|path| bytes(path.as_os_str())).collect()
}

fn bytes(text: &OsStr) -> ByteBuf {
    ByteBuf::from(text.as_bytes())
}

fn agent_slots(slots: SlotCount) -> AgentSlots {
    match slots {
        SlotCount::Number(number) => AgentSlots::Number(number),
        SlotCount::Cores => AgentSlots::Cores,
        SlotCount::CoresMinus(fewer) => AgentSlots::CoresMinus(fewer),
        SlotCount::Percent(percent) => AgentSlots::Percent(percent),
    }
}

/// Makes a directory of this machine absolute, and looks whether it is one.
pub(super) fn existing_directory(path: &Path) -> std::io::Result<PathBuf> {
    // Links stay as they are: what a job prints is what its user wrote.
    let path = std::path::absolute(path)?;
    match std::fs::metadata(&path)?.is_dir() {
        true => Ok(path),
        false => Err(std::io::ErrorKind::NotADirectory.into()),
    }
}
