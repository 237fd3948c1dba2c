//! Proof that a directory here and a directory there are one: a file written here is seen there.
//!
//! Two hosts may both have a `/home/ana` and the two nothing in common. The client therefore writes
//! a token file with a random name and a random content ([`PlantedToken`]) and sends what it wrote
//! ([`Token`]); the host looks for it in what may be the same directory. A wrong guess costs nothing,
//! so several directories may be tried with one token.
//!
//! A token file also names the process that wrote it. Whoever plants one removes those in the same
//! directory whose processes are dead: a client that was killed could not.
//!
//! # Directories that cannot be written
//!
//! No property of a directory (names, sizes, times, device and inode numbers) proves anything: a
//! copy can have them too. Where the client may not write in the directory itself, the token goes
//! to another one in the same mount, and the route between the two is sent with it. This is a proof
//! as well: if directory T is the same on both hosts, and on both the route from T to directory D
//! crosses no mount point and follows no link, then D is the same too, since a file system is one
//! tree. Tried in this order: the directory, its ancestors up to the root of its mirrored storage
//! entry, the user's home. Where the client can write in none of them nothing is proven, and
//! [`PlantError::NotWritable`](crate::PlantError::NotWritable) says so.
//!
//! # Network file systems
//!
//! A host's NFS client may show an older state of a directory for some seconds. The token's name is
//! new, so no cache holds that it is absent, but the directory itself may be new, too. What is not
//! found on a network file system is [`Verdict::Missing`] and worth another check after each of
//! [`RETRY_DELAYS`]; on a local disk the verdict is final at once. Every check opens directories for
//! reading, which makes an NFS client ask its server.

use std::fmt;
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};

use crate::suffix::Suffix;

mod check;
mod plant;
mod sweep;
#[cfg(test)]
mod tests;

pub use plant::PlantedToken;

/// The waits before the second and each later [`Token::check`] while the verdict is
/// [`Verdict::Missing`]: 3.5 s in all, longer than the shortest (3 s) that an NFS client keeps the
/// attributes of a file. A run waits for it only where a network file system is involved.
pub const RETRY_DELAYS: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1000),
    Duration::from_millis(2000),
];

/// What every token file says before its secret, to whoever finds one.
const NOTE: &str = "Written to see whether two hosts share this directory. It may be deleted.\n";

/// Names of token files begin so.
const NAME_PREFIX: &str = ".cos-token-";

/// What a host must find to know that a directory is the client's. It travels in a frame.
///
/// The secret is not shown by `Debug`: whoever knows it can forge the proof.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// From the nearest common ancestor down to the directory that is to be proven.
    to_directory: Suffix,
    /// From the same ancestor down to the directory that holds the token file.
    to_place: Suffix,
    /// The random part of the file's name.
    name: [u8; 16],
    /// The random content.
    secret: [u8; 32],
}

impl Token {
    fn random(to_directory: Suffix, to_place: Suffix) -> Result<Self, rustix::io::Errno> {
        Ok(Self {
            to_directory,
            to_place,
            name: random()?,
            secret: random()?,
        })
    }

    /// Whether the token file lies in the directory itself, so that no route is involved.
    fn is_direct(&self) -> bool {
        self.to_directory.is_empty() && self.to_place.is_empty()
    }

    fn file_name(&self) -> String {
        format!("{NAME_PREFIX}{}", hexadecimal(&self.name))
    }

    /// What a token file begins with. Its owner follows, for a later sweep.
    fn content(&self) -> String {
        format!("{NOTE}{}\n", hexadecimal(&self.secret))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("to_directory", &self.to_directory.as_path())
            .field("to_place", &self.to_place.as_path())
            .field("name", &self.file_name())
            .finish_non_exhaustive()
    }
}

fn random<const N: usize>() -> Result<[u8; N], rustix::io::Errno> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(bytes)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a host found where a [`Token`] should be.
///
/// Reasons are clauses for a person, escaped for a terminal, and name the path on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The token: the directory is the client's.
    Proven,
    /// Nothing, on a network file system, which may show it a moment later: check again after
    /// each of [`RETRY_DELAYS`], then take it for not shared.
    Missing {
        /// What is missing where.
        reason: String,
    },
    /// Nothing or something else: it is another directory, or cannot be shown to be the same.
    NotShared {
        /// What was found.
        reason: String,
    },
}

impl Verdict {
    /// Whether the directory is proven to be the client's.
    pub fn is_proven(&self) -> bool {
        matches!(self, Self::Proven)
    }

    /// Why it is not; `None` if it is.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Proven => None,
            Self::Missing { reason } | Self::NotShared { reason } => Some(reason),
        }
    }
}
