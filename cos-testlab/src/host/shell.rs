//! Login shells, and what makes each of them noisy.

use std::fmt;
use std::path::PathBuf;

use crate::programs;

/// The login shell of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Shell {
    /// Whatever `/bin/sh` is.
    Sh,
    /// GNU bash; reads `~/.bashrc` for every command that comes through ssh.
    Bash,
    /// Debian's small POSIX shell.
    Dash,
    /// Z shell; reads `~/.zshenv` for every command.
    Zsh,
    /// fish; reads `config.fish` for every command, and is no POSIX shell.
    Fish,
    /// tcsh; reads `~/.tcshrc` for every command, and is no POSIX shell.
    Tcsh,
    /// Korn shell.
    Ksh,
    /// The shell inside busybox.
    Busybox,
}

impl Shell {
    /// Every shell that the lab knows, installed or not.
    pub const ALL: [Self; 8] = [
        Self::Sh,
        Self::Bash,
        Self::Dash,
        Self::Zsh,
        Self::Fish,
        Self::Tcsh,
        Self::Ksh,
        Self::Busybox,
    ];

    /// The shells that are installed on this machine, in the order of [`Shell::ALL`].
    #[must_use]
    pub fn installed() -> Vec<Self> {
        Self::ALL
            .into_iter()
            .filter(|shell| shell.path().is_some())
            .collect()
    }

    /// The shell with this name, as `--shells` and `Display` have it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shell| shell.name() == name)
    }

    /// The shell's usual name, which is also its program's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sh => "sh",
            Self::Bash => "bash",
            Self::Dash => "dash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Tcsh => "tcsh",
            Self::Ksh => "ksh",
            Self::Busybox => "busybox",
        }
    }

    /// The absolute path of the shell's program, when it is installed.
    #[must_use]
    pub fn path(self) -> Option<PathBuf> {
        programs::find(self.name())
    }

    /// The Debian package of the shell.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Sh | Self::Dash => "dash",
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Tcsh => "tcsh",
            Self::Ksh => "ksh93u+m",
            Self::Busybox => "busybox-static",
        }
    }

    /// What stands between the program and its options: busybox is asked for its shell.
    pub(crate) fn applet(self) -> &'static str {
        match self {
            Self::Busybox => " sh",
            _ => "",
        }
    }

    /// The file, relative to `$HOME`, that the shell reads even for a command without a terminal.
    /// POSIX shells have none: there, only sshd or a wrapper can print.
    pub(crate) fn rc_file(self) -> Option<&'static str> {
        match self {
            Self::Bash => Some(".bashrc"),
            Self::Zsh => Some(".zshenv"),
            Self::Fish => Some(".config/fish/config.fish"),
            Self::Tcsh => Some(".tcshrc"),
            Self::Sh | Self::Dash | Self::Ksh | Self::Busybox => None,
        }
    }
}

impl fmt::Display for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
