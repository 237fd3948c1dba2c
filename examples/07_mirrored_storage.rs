//! Mirrored storage: a task gets a file by its abstract path and reads it where its own host has it.
//!
//! ```sh
//! cargo run -p cos-examples --bin 07_mirrored_storage -- *.txt        # this machine, or the nearest hosts.toml
//! ```

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that is run by hand shows its result"
)]

use std::path::PathBuf;

use cos_core as cos;
use cos_core::AbstractPath;
use futures_util::StreamExt;

#[cos::task]
pub(crate) fn lines(file: AbstractPath) -> std::io::Result<usize> {
    Ok(std::fs::read_to_string(file.here()?)?.lines().count())
}

#[cos::main]
async fn main() -> cos::Result<()> {
    cos::set_vm(cos_ssh_vm::SshVm::discover().await?)?;
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    // Named for every host here, where all of them are seen; a file that is not mirrored is told before anything runs.
    let jobs = files
        .iter()
        .map(|file| Ok(lines::job(AbstractPath::of(file)?).extra(file)))
        .collect::<cos::Result<Vec<_>>>()?;
    let mut results = cos::dispatch(jobs).stream();
    let mut failed = 0;
    while let Some(done) = results.next().await {
        match done.result {
            Ok(count) => println!("{}: {count}", done.extra.display()),
            Err(error) => {
                failed += 1;
                eprintln!("{}: {error}", done.extra.display());
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(cos::Error::message(format!(
            "{failed} files could not be read"
        ))),
    }
}
