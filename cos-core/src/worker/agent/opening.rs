//! How an agent gets its channel: over its socket, from a bridge of the same user.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use crate::wire::preamble::FRAMES;
use crate::worker::descriptors::{receive_pair, take_standard_input};

/// How long a bridge may take from starting the agent to sending the descriptors (10 s).
const BRIDGE_LIMIT: Duration = Duration::from_secs(10);

/// The client's stream: what to read from and what to write to.
#[derive(Debug)]
pub(super) struct Descriptors {
    pub(super) reader: OwnedFd,
    pub(super) writer: OwnedFd,
}

/// Waits for a bridge and says where the protocol begins.
///
/// # Errors
/// When no bridge comes, it is another user's, or the stream is gone.
pub(super) fn open() -> io::Result<Descriptors> {
    let listener = UnixListener::from(take_standard_input()?);
    // The bridge has connected before this process was started.
    let (socket, _) = listener.accept()?;
    let peer = rustix::net::sockopt::socket_peercred(&socket)?;
    if peer.uid != rustix::process::getuid() {
        return Err(io::Error::other("the bridge is another user's"));
    }
    socket.set_read_timeout(Some(BRIDGE_LIMIT))?;
    let (reader, writer, nonce) = receive_pair(&socket)?;
    let mut first = std::fs::File::from(writer);
    first.write_all(format!("{nonce} {FRAMES}\n").as_bytes())?;
    Ok(Descriptors {
        reader,
        writer: first.into(),
    })
}
