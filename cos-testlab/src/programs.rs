//! Finding and running the system's programs that a lab is made of.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::LabError;

/// Where daemons live; not in every user's `PATH`.
const SYSTEM_DIRECTORIES: &[&str] = &[
    "/usr/sbin",
    "/usr/local/sbin",
    "/sbin",
    "/usr/bin",
    "/usr/local/bin",
    "/bin",
];

/// The absolute path of an executable, from `PATH` and then the usual system directories.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .chain(SYSTEM_DIRECTORIES.iter().map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| is_executable(candidate))
}

/// As [`find`], or the error that names the package to install.
pub(crate) fn require(program: &str, package: &'static str) -> Result<PathBuf, LabError> {
    find(program).ok_or_else(|| LabError::NotInstalled {
        program: program.to_owned(),
        package,
    })
}

/// Runs a program to its end and returns its standard output; a failure carries what it printed.
pub(crate) fn run<I, S>(program: &Path, arguments: I) -> Result<String, LabError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(LabError::file("run", program))?;
    if !output.status.success() {
        let mut printed = output.stderr;
        printed.extend_from_slice(&output.stdout);
        return Err(LabError::Program {
            program: program.display().to_string(),
            status: output.status,
            output: String::from_utf8_lossy(&printed).trim().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
