//! The agent: one client's hands on one host.
//!
//! It is one future that is polled by whatever happens: bytes from the client, bytes from a slot, the end of a child, a
//! signal, a tick. Each poll reads everything there is, acts, starts what has become free to start, and then writes once.
//!
//! ```text
//! turn           the future: one look at everything
//! opening        how the channel comes from a bridge
//! session        the client's channel: hello, sequence numbers, acknowledgements, what waits to be written
//! getting_ready  from a preparation to a host that takes attempts
//!   directories    where jobs start, proven or made; what former runs have left
//!   preparation    what jobs see: environment, shell, slots
//!   setup          the setup script and what it exports
//!   report         what the host tells of itself
//! work           attempts and slots together: starting, passing on
//!   attempts       what is queued, what runs and lies in which slot, which amounts are free (pure)
//!   slots          the slot processes and their sockets
//!   burial         slots that have died
//!   overdue        calls that were asked to stop
//! staging        the files of attempts: brought before they start, given back after they have ended
//! ending         how everything ends, and what is left then
//! ```

mod attempts;
mod burial;
mod directories;
mod ending;
mod getting_ready;
mod opening;
mod overdue;
mod preparation;
mod report;
mod session;
mod setup;
mod slots;
mod staging;
mod turn;
mod work;

use std::path::Path;

use super::place::Place;
use super::role::{complain, name_process};

pub(super) use setup::write_environment;

/// Runs an agent whose listening socket is standard input; the exit status is 0 when it ended as its client wished.
pub(super) fn run(place: &Path) -> i32 {
    name_process(c"cos-agent");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("agent: {error}"));
            return 1;
        }
    };
    let end = runtime.block_on(live(&Place::at(place)));
    // A file system that does not answer keeps a thread for ever; it does not keep the agent.
    runtime.shutdown_background();
    match end {
        Ok(()) => 0,
        Err(words) => {
            complain(&words);
            1
        }
    }
}

/// From the first connection to the last word. An error is worth a line of the bridge.
async fn live(place: &Place) -> Result<(), String> {
    let channel = opening::open().map_err(|error| format!("no channel: {error}"))?;
    let session = session::Session::new(channel).map_err(|error| format!("no channel: {error}"))?;
    let mut agent =
        turn::Agent::new(place.clone(), session).map_err(|error| format!("agent: {error}"))?;
    let end = std::future::poll_fn(|context| agent.poll(context)).await;
    agent.finish(end).await
}
