//! What can be done to a running host: kill it, stop its sshd, put faults in its way.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::error::LabError;
use crate::host::{TestHost, processes};
use crate::lab::lock;
use crate::relay::{FaultPlan, FaultProxy};

/// Killing takes milliseconds; this is for a machine that is busy with everything else.
const KILL_DEADLINE: Duration = Duration::from_secs(20);

/// A listening sshd greets at once.
const GREETING_DEADLINE: Duration = Duration::from_secs(20);

/// Connections that are on their way in for ever, so that MaxStartups drops others. Until dropped,
/// or until sshd's LoginGraceTime (two minutes).
#[derive(Debug)]
pub struct OccupiedStartups {
    _connections: Vec<TcpStream>,
}

impl TestHost {
    /// Kills sshd and every process of the host at once, as when a machine dies. The kernel closes
    /// their connections, so a client hears of it; put a fault proxy's blackhole in front for a
    /// machine that falls silent.
    ///
    /// # Errors
    ///
    /// [`LabError::StillRunning`] when something survives SIGKILL (hanging in the kernel).
    pub fn kill(&self) -> Result<(), LabError> {
        let mut sshd = lock(&self.sshd);
        let mut marks = lock(&self.marks);
        let start = Instant::now();
        let killed = marks.kill_all(KILL_DEADLINE);
        sshd.stop();
        killed.map_err(|left| LabError::StillRunning {
            host: self.name.clone(),
            waited: start.elapsed(),
            left,
        })
    }

    /// Ends sshd's listener alone: new connections are refused, open ones go on.
    pub fn stop_sshd(&self) {
        // Once the listener is gone, its sessions can only be told by having been seen.
        drop(self.walk());
        lock(&self.sshd).stop();
    }

    /// Starts sshd again, at the same port and with the same key; with what was mounted for it.
    ///
    /// # Errors
    ///
    /// [`LabError::Invalid`] when it still runs, [`LabError::Sshd`] when it does not start.
    pub fn start_sshd(&self) -> Result<(), LabError> {
        let mut sshd = lock(&self.sshd);
        if sshd.pid().is_some() {
            let (host, what) = (self.name.clone(), "sshd runs already".to_owned());
            return Err(LabError::Invalid { host, what });
        }
        sshd.start()?;
        if let Some(pid) = sshd.pid() {
            lock(&self.marks).set_listener(pid);
        }
        Ok(())
    }

    /// Kills sshd's side of every open connection; the listener and what the sessions run live on.
    pub fn drop_connections(&self) {
        let listener = self.pid();
        for process in self.sshd_processes() {
            if Some(process.pid) != listener {
                processes::signal(&process, Signal::KILL);
            }
        }
    }

    /// Puts a fault proxy between the clients and the host: connections by its name go through it
    /// from now on. It replaces an earlier proxy, whose connections end when its last handle is
    /// dropped.
    ///
    /// # Errors
    ///
    /// [`LabError::Socket`] when no loopback port can be had.
    pub fn through(&self, plan: FaultPlan) -> Result<Arc<FaultProxy>, LabError> {
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port()));
        let proxy = Arc::new(FaultProxy::start(target, plan)?);
        self.lab.inventory().redirect(&self.name, proxy.port())?;
        *lock(&self.proxy) = Some(Arc::clone(&proxy));
        Ok(proxy)
    }

    /// Takes up this many of the connections that may be on their way in, and returns once sshd has
    /// greeted each.
    ///
    /// # Errors
    ///
    /// [`LabError::Socket`] when sshd drops one of them already.
    pub fn occupy_startups(&self, connections: usize) -> Result<OccupiedStartups, LabError> {
        let connect = || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port()))?;
            stream.set_read_timeout(Some(GREETING_DEADLINE))?;
            stream.write_all(b"SSH-2.0-occupant\r\n")?;
            let mut greeting = [0; 4];
            stream.read_exact(&mut greeting)?;
            if &greeting != b"SSH-" {
                return Err(std::io::Error::other("sshd did not greet"));
            }
            Ok(stream)
        };
        let connections = (0..connections)
            .map(|_| connect())
            .collect::<Result<_, _>>();
        let connections = connections.map_err(LabError::socket("occupy a connection"))?;
        Ok(OccupiedStartups {
            _connections: connections,
        })
    }
}
