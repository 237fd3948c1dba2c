//! Runs commands on the hosts that `cos run` would have here, and says how many each of them ran.
//!
//! ```sh
//! cargo run -p cos-examples --bin lab                          # this machine, or the nearest hosts.toml
//! COS_HOSTS=lab.toml cargo run -p cos-examples --bin lab -- 200
//! ```

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that is run by hand shows its result"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;

use cos_core::job::{CommandJob, Job};
use cos_core::vm::VirtualMachine;
use cos_core::{Flow, Os, dispatch};
use cos_ssh_vm::SshVm;

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
    let jobs: u64 = std::env::args()
        .nth(1)
        .map_or(Ok(20), |word| word.parse())?;
    let machine = SshVm::discover().await?;
    let names: Vec<String> = machine
        .hosts()
        .iter()
        .map(|host| host.name.clone())
        .collect();
    let mut ran: BTreeMap<&str, u64> = BTreeMap::new();
    let commands = (1..=jobs).map(|n| Job::captured(CommandJob::shell(n, format!("factor {n}"))));
    let main = dispatch(commands).for_each(|done| {
        let host = done.host.and_then(|host| names.get(host.0 as usize));
        match &done.result {
            Ok(_) => *ran.entry(host.map_or("?", String::as_str)).or_default() += 1,
            Err(error) => println!("job {}: {error}", done.index + 1),
        }
        Flow::Go
    });
    Os::new().vm(machine).run(main).await??;
    for (host, number) in ran {
        println!("{host}: {number}");
    }
    Ok(())
}
