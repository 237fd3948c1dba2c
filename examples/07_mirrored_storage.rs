//! Counts the lines of files on whichever host is free, each reading the files under its own path of them.
//!
//! ```sh
//! cargo run -p cos-examples --bin 07_mirrored_storage -- *.txt        # this machine, or the nearest hosts.toml
//! ```

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that is run by hand shows its result"
)]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use cos_core::{AbstractPath, Flow, Os, dispatch};
use cos_ssh_vm::SshVm;

#[cos_core::task]
fn lines(file: AbstractPath) -> std::io::Result<usize> {
    Ok(std::fs::read_to_string(file.here()?)?.lines().count())
}

fn main() -> ExitCode {
    // This program is the worker on every host: started there, it does not get past this line.
    cos_core::worker::init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run()),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let machine = SshVm::discover().await?;
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    // Named for every host here, where all of them are seen; a file that is not mirrored is told before anything runs.
    let jobs = files
        .iter()
        .map(|file| Ok(lines::job(AbstractPath::of(file)?).extra(file)))
        .collect::<std::io::Result<Vec<_>>>()?;
    let mut failed = 0;
    let main = dispatch(jobs).for_each(|done| {
        match &done.result {
            Ok(count) => println!("{}: {count}", done.extra.display()),
            Err(error) => {
                failed += 1;
                eprintln!("{}: {error}", done.extra.display());
            }
        }
        Flow::Go
    });
    Os::new().vm(machine).run(main).await??;
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} files could not be read").into()),
    }
}
