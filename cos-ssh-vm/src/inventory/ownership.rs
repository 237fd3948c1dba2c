//! The rule of ownership: a file that was merely found is read only if nobody else could have written it.
//!
//! A hosts.toml can name an ssh_config, and that can run commands. Somebody who may write to a directory
//! above the current one could otherwise run commands as whoever works below it.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::Stat;

use super::report::shown_path;

/// The permission bits of the group and of everybody else.
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// Whose files are trusted.
pub(super) struct Owner<'a> {
    /// The user's number.
    pub(super) uid: u32,
    /// The directory of `passwd` and `group`.
    pub(super) accounts: &'a Path,
}

impl Owner<'_> {
    /// Checks the status of a file that is open, so that what was checked is what is read.
    ///
    /// A group that has no member but the user is the user: many systems give everybody such a group and
    /// let it write by default.
    pub(super) fn check(&self, status: &Stat) -> Result<(), Distrust> {
        if status.st_uid != self.uid && status.st_uid != 0 {
            let accounts = Accounts::read(self.accounts);
            return Err(Distrust::Owner {
                uid: status.st_uid,
                name: accounts.user_name(status.st_uid).map(str::to_owned),
            });
        }
        if status.st_mode & OTHERS_WRITE != 0 {
            return Err(Distrust::Writable {
                by: "everybody",
                own: status.st_uid == self.uid,
            });
        }
        if status.st_mode & GROUP_WRITES != 0
            && !Accounts::read(self.accounts).is_private_group(status.st_gid, self.uid)
        {
            return Err(Distrust::Writable {
                by: "its group",
                own: status.st_uid == self.uid,
            });
        }
        Ok(())
    }
}

/// Why a file is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distrust {
    /// It belongs to another user, who is not root.
    Owner {
        /// That user's number.
        uid: u32,
        /// That user's name, where this machine's own list of accounts has it.
        name: Option<String>,
    },
    /// Somebody else may write it.
    Writable {
        /// Who, for a sentence.
        by: &'static str,
        /// Whether the file is the user's own, so that its mode is the user's to change.
        own: bool,
    },
    /// It is a pipe, a device or a directory.
    Kind,
}

impl Distrust {
    /// What can be done about it.
    pub(super) fn cure(&self, path: &Path) -> String {
        let path = shown_path(path);
        match self {
            Self::Writable { own: true, .. } => format!("`chmod go-w {path}`"),
            Self::Owner { .. } | Self::Writable { own: false, .. } => {
                format!("if you trust it, --hosts {path}")
            }
            Self::Kind => "a hosts.toml that is to be found must be a regular file".to_owned(),
        }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner {
                name: Some(name), ..
            } => write!(formatter, "belongs to {name}, not to you"),
            Self::Owner { uid, name: None } => {
                write!(formatter, "belongs to user {uid}, not to you")
            }
            Self::Writable { by, .. } => write!(formatter, "may be written by {by}"),
            Self::Kind => formatter.write_str("is not a regular file"),
        }
    }
}

/// The machine's own lists of users and groups. What a directory service adds is not seen: then a name is
/// shown as a number, and a group counts as shared.
struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    fn read(directory: &Path) -> Self {
        let text = |name| {
            let path: PathBuf = directory.join(name);
            std::fs::read(path)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .unwrap_or_default()
        };
        Self {
            passwd: text("passwd"),
            group: text("group"),
        }
    }

    /// Name, user number and group number of every user.
    fn users(&self) -> impl Iterator<Item = (&str, u32, u32)> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid = fields.nth(1)?.parse().ok()?;
            Some((name, uid, fields.next()?.parse().ok()?))
        })
    }

    fn user_name(&self, uid: u32) -> Option<&str> {
        self.users()
            .find(|(_, number, _)| *number == uid)
            .map(|(name, ..)| name)
            .filter(|name| is_plain(name))
    }

    /// Whether the group is known and has no member but the user.
    fn is_private_group(&self, gid: u32, uid: u32) -> bool {
        let Some(user) = self.user_name(uid) else {
            return false;
        };
        let mut groups = self
            .group
            .lines()
            .filter_map(|line| {
                let fields: Vec<&str> = line.split(':').collect();
                let [_, _, number, members] = fields.as_slice() else {
                    return None;
                };
                Some((number.parse::<u32>().ok()?, *members))
            })
            .filter(|(number, _)| *number == gid)
            .peekable();
        groups.peek().is_some()
            && groups.all(|(_, members)| {
                members
                    .split(',')
                    .all(|member| member.is_empty() || member == user)
            })
            && self
                .users()
                .all(|(_, number, primary)| primary != gid || number == uid)
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|character| !character.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nana:x:1000:1000::/home/ana:/bin/sh\n\
                          mallory:x:1001:1001::/:/bin/sh\nbob:x:1002:50::/:/bin/sh\nodd line\n";
    const GROUP: &str =
        "ana:x:1000:\nmallory:x:1001:ana\nstaff:x:50:\nself:x:60:ana\nshared:x:70:ana,bob\n";

    struct Machine {
        directory: tempfile::TempDir,
    }

    impl Machine {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("passwd"), PASSWD).unwrap();
            std::fs::write(directory.path().join("group"), GROUP).unwrap();
            Self { directory }
        }

        /// The answer for ana, of a file with this owner, group and mode.
        fn check(&self, uid: u32, gid: u32, mode: u32) -> Result<(), String> {
            let file = tempfile::tempfile().unwrap();
            let mut status = rustix::fs::fstat(&file).unwrap();
            (status.st_uid, status.st_gid, status.st_mode) = (uid, gid, 0o100_000 | mode);
            Owner {
                uid: 1000,
                accounts: self.directory.path(),
            }
            .check(&status)
            .map_err(|distrust| distrust.to_string())
        }
    }

    #[test]
    fn ones_own_and_roots_files_are_trusted() {
        let machine = Machine::new();
        assert_eq!(machine.check(1000, 1000, 0o644), Ok(()));
        assert_eq!(machine.check(0, 0, 0o644), Ok(()));
        assert_eq!(machine.check(1000, 70, 0o640), Ok(()));
    }

    #[test]
    fn other_peoples_files_are_not() {
        let machine = Machine::new();
        assert_eq!(
            machine.check(1001, 1001, 0o644),
            Err("belongs to mallory, not to you".into())
        );
        assert_eq!(
            machine.check(4242, 1000, 0o600),
            Err("belongs to user 4242, not to you".into())
        );
    }

    #[test]
    fn files_that_others_may_write_are_not() {
        let machine = Machine::new();
        assert_eq!(
            machine.check(1000, 1000, 0o646),
            Err("may be written by everybody".into())
        );
        assert_eq!(
            machine.check(0, 0, 0o602),
            Err("may be written by everybody".into())
        );
        for shared in [50, 70, 1001, 4242] {
            assert_eq!(
                machine.check(1000, shared, 0o664),
                Err("may be written by its group".into()),
                "{shared}"
            );
        }
    }

    #[test]
    fn a_group_of_ones_own_is_nobody_else() {
        let machine = Machine::new();
        assert_eq!(machine.check(1000, 1000, 0o664), Ok(()));
        assert_eq!(machine.check(1000, 60, 0o664), Ok(()));
    }

    #[test]
    fn without_lists_of_accounts_a_group_is_shared() {
        let machine = Machine::new();
        std::fs::remove_file(machine.directory.path().join("group")).unwrap();
        assert!(machine.check(1000, 1000, 0o664).is_err());
    }
}
