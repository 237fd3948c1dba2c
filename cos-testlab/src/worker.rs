//! The worker executable for tests, built as `cos` embeds it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::error::LabError;

/// The target triple of this machine, as far as workers are concerned.
#[must_use]
pub fn this_target() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

/// Builds the static worker, once in a test process, and returns its path.
///
/// It is the build that `cos-cli/build.rs` makes for a debug build of `cos`, in the same directory, so that it is
/// there already when `cos` has been built. `COS_WORKER=path` names one that was built elsewhere.
///
/// # Errors
///
/// [`LabError::Program`] with cargo's words when it cannot be built.
pub fn worker_executable() -> Result<PathBuf, LabError> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = &*built {
        return Ok(path.clone());
    }
    let path = match env::var_os("COS_WORKER") {
        Some(path) => PathBuf::from(path),
        None => build()?,
    };
    Ok(built.insert(path).clone())
}

fn build() -> Result<PathBuf, LabError> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let this = env::current_exe().map_err(LabError::file("find", Path::new("/proc/self/exe")))?;
    // A test is <target directory>/<profile>/deps/<name>.
    let profile_directory = this.ancestors().nth(2).unwrap_or(&workspace);
    let directory = profile_directory.join("cos-worker-build");
    let target = this_target();
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(&cargo)
        .current_dir(&workspace)
        .args([
            "build",
            "--package",
            "cos-worker-bin",
            "--bin",
            "cos-worker",
        ])
        .args(["--profile", "worker-dev", "--target", &target])
        .arg("--target-dir")
        .arg(&directory)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        // Clippy and coverage tools wrap the compiler of the workspace's own crates; the worker is not theirs.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .map_err(LabError::file("run", Path::new(&cargo)))?;
    if !output.status.success() {
        return Err(LabError::Program {
            program: "cargo build --package cos-worker-bin".to_owned(),
            status: output.status,
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    Ok(directory.join(target).join("worker-dev/cos-worker"))
}
