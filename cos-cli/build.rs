//! Builds the deployable worker, small and static, and embeds it in `cos`.
//!
//! The worker must run on hosts whose C library is unknown, so it is linked statically. Artifact dependencies are not
//! stable, and `+crt-static` without `--target` breaks procedural macros; a nested cargo with a target directory of
//! its own has neither trouble. `COS_WORKER=path` embeds an executable that was built elsewhere instead.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=COS_WORKER");
    let target = variable("TARGET")
        .into_string()
        .expect("a target triple is ASCII");
    let worker = match env::var_os("COS_WORKER") {
        Some(path) => {
            let path = fs::canonicalize(&path)
                .unwrap_or_else(|error| panic!("COS_WORKER={}: {error}", path.display()));
            println!("cargo::rerun-if-changed={}", path.display());
            path
        }
        None => build(&target),
    };
    embed(&worker, &target);
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name} for build scripts"))
}

/// Runs the nested cargo and returns the path of the executable.
fn build(target: &str) -> PathBuf {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let workspace = here
        .parent()
        .expect("the crate is a folder of the workspace");
    let out = PathBuf::from(variable("OUT_DIR"));
    // OUT_DIR is <target directory>/<profile>/build/<package>/out.
    let profile_directory = out.ancestors().nth(3).expect("OUT_DIR has cargo's layout");
    let directory = profile_directory.join("cos-worker-build");
    let profile = match variable("PROFILE").to_str() {
        Some("release") => "worker",
        _ => "worker-dev",
    };

    let status = Command::new(variable("CARGO"))
        .current_dir(workspace)
        .args([
            "build",
            "--package",
            "cos-worker-bin",
            "--bin",
            "cos-worker",
        ])
        .args(["--profile", profile, "--target", target, "--target-dir"])
        .arg(&directory)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        // Clippy and coverage tools wrap the compiler of the workspace's own crates; the worker is not theirs.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .unwrap_or_else(|error| panic!("cannot start cargo for the worker: {error}"));
    assert!(
        status.success(),
        "the worker could not be built ({status}); a static C library is needed (Debian: libc6-dev), or name a \
         worker that was built elsewhere by COS_WORKER=path"
    );

    let worker = directory.join(target).join(profile).join("cos-worker");
    watch(&worker.with_extension("d"));
    worker
}

/// Asks to be run again when a source file of the worker changes: cargo lists them in a `.d` file.
fn watch(list: &Path) {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../Cargo.lock");
    println!("cargo::rerun-if-changed=../Cargo.toml");
    let text = fs::read_to_string(list)
        .unwrap_or_else(|error| panic!("cargo wrote no {}: {error}", list.display()));
    // One rule, `executable: source source ...`, with spaces in names escaped by a backslash.
    let sources = text
        .split_once(": ")
        .map_or("", |(_, sources)| sources)
        .trim();
    let mut name = String::new();
    let mut characters = sources.chars().chain([' ']);
    while let Some(character) = characters.next() {
        match character {
            '\\' => name.extend(characters.next()),
            ' ' | '\n' if !name.is_empty() => {
                println!("cargo::rerun-if-changed={name}");
                name.clear();
            }
            ' ' | '\n' => {}
            other => name.push(other),
        }
    }
}

/// Writes the constants that `src/worker.rs` includes.
fn embed(worker: &Path, target: &str) {
    let bytes = fs::read(worker).unwrap_or_else(|error| panic!("{}: {error}", worker.display()));
    let out = PathBuf::from(variable("OUT_DIR"));
    fs::write(out.join("cos-worker"), &bytes).expect("OUT_DIR can be written");
    let source = format!(
        "/// The worker for [`TARGET`].\n\
         pub(super) static BYTES: &[u8] = include_bytes!(concat!(env!(\"OUT_DIR\"), \"/cos-worker\"));\n\
         /// The target that it was built for.\n\
         pub(super) const TARGET: &str = \"{target}\";\n"
    );
    fs::write(out.join("embedded_worker.rs"), source).expect("OUT_DIR can be written");
}
