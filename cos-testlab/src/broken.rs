//! Hosts that fail before any sshd could answer.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

use crate::error::LabError;
use crate::host::check_name;
use crate::inventory::{Destination, Entry};
use crate::lab::Shared;
use crate::loopback::PortReservation;

/// How a [`BrokenHost`] fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Breakage {
    /// Its name has no address: ssh "Could not resolve hostname".
    Unresolvable,
    /// Nobody listens: ssh "Connection refused", at once.
    Refused,
    /// No packet is answered, as by a machine that is switched off: ssh "Connection timed out", when
    /// it has waited long enough.
    Unreachable,
    /// The connection is made, and then nothing is said for ever.
    Silent,
}

/// A name in the lab's `ssh_config` behind which there is no sshd.
#[derive(Debug)]
pub struct BrokenHost {
    name: String,
    _holds: Holds,
}

/// What keeps the breakage up; dropped with the host.
#[derive(Debug)]
enum Holds {
    Nothing,
    Port {
        _port: PortReservation,
    },
    /// A listener whose queue nobody empties: the kernel completes a connection while there is room,
    /// and ignores the packets of further ones.
    Queue {
        _listener: TcpListener,
        _occupants: Vec<TcpStream>,
    },
}

impl BrokenHost {
    pub(crate) fn new(lab: Arc<Shared>, name: &str, breakage: Breakage) -> Result<Self, LabError> {
        check_name(&lab, name)?;
        let (holds, destination) = match breakage {
            Breakage::Unresolvable => (Holds::Nothing, Destination::Unresolvable),
            Breakage::Refused => {
                let port = PortReservation::new()?;
                let destination = Destination::Port(port.port());
                (Holds::Port { _port: port }, destination)
            }
            Breakage::Unreachable => queue(0, true)?,
            Breakage::Silent => queue(128, false)?,
        };
        lab.inventory().add(Entry {
            name: name.to_owned(),
            destination,
            known_key: None,
            slots: 2,
            local_storage: None,
            toml_lines: Vec::new(),
        })?;
        Ok(Self {
            name: name.to_owned(),
            _holds: holds,
        })
    }

    /// Its name, which is its alias in the lab's `ssh_config`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl AsRef<str> for BrokenHost {
    /// The host's name.
    fn as_ref(&self) -> &str {
        &self.name
    }
}

/// A listener with room for so many connections, filled up if asked for.
fn queue(backlog: i32, fill: bool) -> Result<(Holds, Destination), LabError> {
    let reservation = PortReservation::new()?;
    let port = reservation.port();
    let listener = reservation.listen(backlog)?;
    let mut occupants = Vec::new();
    if fill {
        // The queue takes one more than its backlog.
        for _ in 0..=backlog {
            let occupant = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
            occupants.push(occupant.map_err(LabError::socket("fill a queue"))?);
        }
    }
    Ok((
        Holds::Queue {
            _listener: listener,
            _occupants: occupants,
        },
        Destination::Port(port),
    ))
}
