//! What every session of a host runs first: the script that makes the host's environment and
//! becomes its login shell.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::client::make_private_directory;
use crate::error::LabError;
use crate::host::Directories;
use crate::host::shell::Shell;
use crate::quoting::shell_word;

/// What a noisy host prints, unless it was told what: three lines on standard output.
pub const NOISE: &str =
    "Welcome to the lab!\nDisk quota: 83 % used\n\x1b[1mmodules loaded\x1b[0m\n";

/// What a session of a host finds.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) shell: Shell,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) path_prefix: Vec<PathBuf>,
    pub(crate) noise: Vec<u8>,
    pub(crate) noise_on_stderr: Vec<u8>,
}

impl Login {
    /// Writes the script, and the rc files that make noise. sshd can only start the account's own
    /// shell; that becomes this script, and this script the host's login shell, so that what runs
    /// in the end is what a real login would run: `shell -c command` in the home directory.
    pub(crate) fn write(&self, directories: &Directories) -> Result<PathBuf, LabError> {
        let mut script = String::from("#!/bin/sh\n");
        for (variable, value) in self.variables(directories) {
            let _ = writeln!(script, "export {variable}={}", shell_word(&value));
        }
        for directory in self.path_prefix.iter().rev() {
            let _ = writeln!(script, "PATH={}:$PATH", shell_word(&text(directory)));
        }
        // sshd starts in the account's home, and leaves the client's command in the environment.
        script.push_str("cd \"$HOME\" || exit\ncommand=$SSH_ORIGINAL_COMMAND\n");
        script.push_str("unset SSH_ORIGINAL_COMMAND OLDPWD\n");
        let noise = self.write_noise(directories)?;
        match self.shell.rc_file() {
            Some(file) if !noise.is_empty() => {
                let file = directories.home.join(file);
                if let Some(parent) = file.parent() {
                    make_private_directory(parent)?;
                }
                fs::write(&file, noise).map_err(LabError::file("write", &file))?;
            }
            _ => script.push_str(&noise),
        }
        let program = format!("{}{}", shell_word(&self.shell_path()), self.shell.applet());
        let _ = writeln!(script, "[ -n \"$command\" ] || exec {program} -l");
        let _ = writeln!(script, "exec {program} -c \"$command\"");

        let file = directories.root.join("login");
        fs::write(&file, &script).map_err(LabError::file("write", &file))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o700))
            .map_err(LabError::file("make executable", &file))?;
        Ok(file)
    }

    fn variables(&self, directories: &Directories) -> Vec<(String, String)> {
        let mut variables = vec![
            ("HOME".to_owned(), text(&directories.home)),
            ("SHELL".to_owned(), self.shell_path()),
            ("TMPDIR".to_owned(), text(&directories.temporary)),
            ("XDG_RUNTIME_DIR".to_owned(), text(&directories.runtime)),
            ("XDG_CACHE_HOME".to_owned(), text(&directories.cache())),
            (
                "XDG_CONFIG_HOME".to_owned(),
                text(&directories.configuration()),
            ),
            ("XDG_STATE_HOME".to_owned(), text(&directories.state())),
        ];
        variables.extend(self.environment.iter().cloned());
        variables
    }

    fn shell_path(&self) -> String {
        // The builder has refused a shell that is not there.
        self.shell
            .path()
            .map_or_else(|| self.shell.name().to_owned(), |path| text(&path))
    }

    /// Writes the noise to files and returns lines that print them, in the language that all the
    /// shells share.
    fn write_noise(&self, directories: &Directories) -> Result<String, LabError> {
        let mut lines = String::new();
        for (noise, name, redirection) in [
            (&self.noise, "noise", ""),
            (&self.noise_on_stderr, "noise_on_stderr", " >&2"),
        ] {
            if !noise.is_empty() {
                let file = directories.root.join(name);
                fs::write(&file, noise).map_err(LabError::file("write", &file))?;
                let _ = writeln!(lines, "/bin/sh -c 'cat {}{redirection}'", file.display());
            }
        }
        Ok(lines)
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
