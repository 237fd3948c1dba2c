//! Cleans hosts: each is connected, which sweeps what killed runs have left, and disconnected. Nothing is printed here.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use cos_core::ids::HostId;
use cos_core::vm::host::HostInfo;
use cos_core::vm::{VirtualMachine, VmCommand, VmEvent};

/// What was done on one host.
#[derive(Clone, Debug, PartialEq)]
pub struct Cleaning {
    /// The host's name as the user wrote it.
    pub host: String,
    /// What it told of itself and of what is gone, or why it could not be reached.
    pub told: Result<Arc<HostInfo>, String>,
    /// What this visit itself has left there.
    pub left: Vec<String>,
}

/// Connects every host of `machine` and disconnects it. Ends when every host has answered or failed, each by its own
/// deadlines. Dropping the future leaves hosts connected; dropping the machine then ends them.
///
/// No command may have been submitted before.
pub async fn clean<M: VirtualMachine>(machine: &mut M) -> Vec<Cleaning> {
    let specs = machine.hosts().to_vec();
    let mut cleanings: BTreeMap<HostId, Cleaning> = BTreeMap::new();
    for (id, spec) in (0..).map(HostId).zip(&specs) {
        let cleaning = Cleaning {
            host: spec.name.clone(),
            told: Err("it has told nothing".to_owned()),
            left: Vec::new(),
        };
        cleanings.insert(id, cleaning);
        machine.submit(VmCommand::Connect { host: id });
    }
    let mut open = cleanings.len();
    while open > 0 {
        let Some(event) = poll_fn(|context| machine.poll_event(context)).await else {
            break;
        };
        match event {
            VmEvent::Up { host, info } => {
                if let Some(cleaning) = cleanings.get_mut(&host) {
                    cleaning.told = Ok(info);
                }
                let grace = Duration::ZERO;
                machine.submit(VmCommand::Disconnect { host, grace });
            }
            VmEvent::Failed { host, failure } => {
                open -= 1;
                if let Some(cleaning) = cleanings.get_mut(&host) {
                    cleaning.told = Err(failure.to_string());
                }
            }
            VmEvent::Lost { host, loss } => {
                open -= 1;
                if let Some(cleaning) = cleanings.get_mut(&host) {
                    cleaning.left.push(loss.to_string());
                }
            }
            VmEvent::Closed { host, left } => {
                open -= 1;
                if let Some(cleaning) = cleanings.get_mut(&host) {
                    cleaning.left.extend(left);
                }
            }
            _ => {}
        }
    }
    cleanings.into_values().collect()
}
