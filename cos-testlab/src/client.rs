//! The client's side of a lab: a home and an environment of its own.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::LabError;

/// What a command under test keeps of the environment that the test itself was started with.
const KEPT: &[&str] = &[
    "PATH",
    "RUST_BACKTRACE",
    // Where coverage and sanitizers of an instrumented command leave their results.
    "LLVM_PROFILE_FILE",
    "ASAN_OPTIONS",
    "TSAN_OPTIONS",
];

/// The directories of the user who is under test; nothing of the real user's is reached from here.
#[derive(Debug)]
pub(crate) struct Client {
    root: PathBuf,
    user: String,
}

impl Client {
    /// Directory below the client's root, and the variables that lead there.
    const DIRECTORIES: &[(&str, &str)] = &[
        ("HOME", "home"),
        ("XDG_CACHE_HOME", "home/.cache"),
        ("XDG_CONFIG_HOME", "home/.config"),
        ("XDG_DATA_HOME", "home/.local/share"),
        ("XDG_STATE_HOME", "home/.local/state"),
        ("XDG_RUNTIME_DIR", "run"),
        ("TMPDIR", "tmp"),
    ];

    pub(crate) fn new(root: PathBuf, user: &str) -> Result<Self, LabError> {
        for (_, below) in Self::DIRECTORIES {
            make_private_directory(&root.join(below))?;
        }
        Ok(Self {
            root,
            user: user.to_owned(),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    pub(crate) fn command(&self, program: &OsStr) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.home());
        for variable in KEPT {
            if let Some(value) = env::var_os(variable) {
                command.env(variable, value);
            }
        }
        for (variable, below) in Self::DIRECTORIES {
            command.env(variable, self.root.join(below));
        }
        command
            .env("USER", &self.user)
            .env("LOGNAME", &self.user)
            .env("LANG", "C.UTF-8");
        command
    }
}

/// A directory and its parents, readable by its owner alone.
pub(crate) fn make_private_directory(path: &Path) -> Result<(), LabError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(LabError::file("create", path))
}
