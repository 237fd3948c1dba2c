//! Loopback ports that belong to one host for as long as the host exists.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::os::fd::OwnedFd;

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};

use crate::error::LabError;

/// A port of 127.0.0.1 that nobody else is given: a bound socket that does not listen.
///
/// sshd, too, binds with `SO_REUSEADDR` and so may listen on the same port. While nobody listens, a
/// connection is refused, as by a machine without sshd; a host that was killed is never mistaken for
/// somebody else's server that was given its port.
#[derive(Debug)]
pub(crate) struct PortReservation {
    socket: OwnedFd,
    port: u16,
}

impl PortReservation {
    pub(crate) fn new() -> Result<Self, LabError> {
        let failed = LabError::socket::<rustix::io::Errno>;
        let socket = socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(failed("make a socket"))?;
        set_socket_reuseaddr(&socket, true).map_err(failed("share a port"))?;
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).map_err(failed("bind a port"))?;
        let address = getsockname(&socket).map_err(failed("ask for a port"))?;
        let address = SocketAddr::try_from(address).map_err(failed("ask for a port"))?;
        Ok(Self {
            socket,
            port: address.port(),
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts to listen with room for `backlog` connections that nobody has accepted.
    pub(crate) fn listen(self, backlog: i32) -> Result<TcpListener, LabError> {
        rustix::net::listen(&self.socket, backlog)
            .map_err(LabError::socket::<rustix::io::Errno>("listen"))?;
        Ok(TcpListener::from(self.socket))
    }
}
