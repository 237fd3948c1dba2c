//! `cos doctor`: reaches every host, looks at it, and says what is wrong and what to do about it.

mod report;

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use cos_core::vm::VirtualMachine;
use cos_ssh_vm::doctor::{Examination, examine};
use cos_ssh_vm::inventory::{Inventory, Source};
use cos_ssh_vm::{SshVm, SshVmError, StartDirectory};
use tokio::sync::watch;

use self::report::Report;
use super::hosts;
use crate::arguments::{DoctorArguments, TableFormat};
use crate::exit_code;
use crate::failure::Failure;
use crate::logging;
use crate::message::{Message, Palette};
use crate::record::RunId;
use crate::run::signals::{self, Demand, Urgency};
use crate::worker;

/// How long the hosts may take to confirm that nothing is left there once the user has had enough.
const GOODBYE: Duration = Duration::from_secs(2);

/// Carries out `cos doctor`.
pub(super) fn doctor(arguments: &DoctorArguments, out: &mut dyn Write) -> Result<u8, Failure> {
    let color = arguments.messages.color;
    let palette = Palette::choose(color, io::stderr().is_terminal());
    let inventory = arguments
        .selection
        .selected()
        .map_err(|error| Failure::Rendered {
            text: error.render(palette == Palette::COLORED),
            exit_code: error.exit_code(),
        })?;
    if let Some(path) = &arguments.log_file {
        logging::write_to(&[path], 0)
            .map_err(|error| Failure::internal(Message::of_error(&error)))?;
    }
    say_what_is_examined(&inventory, arguments.quiet, palette);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::internal(Message::error("cannot start the examination").cause(error))
        })?;
    let examinations = match runtime.block_on(examinations(&inventory))? {
        Examined::All(examinations) => examinations,
        Examined::Interrupted { signal } => return Ok(exit_code::of_signal(signal)),
    };
    let report = Report {
        examinations: &examinations,
        source: hosts::source(&inventory),
        brief: arguments.quiet,
    };
    let text = match arguments.format {
        TableFormat::Text => {
            let palette = Palette::choose(color, io::stdout().is_terminal());
            report.text(palette, report::terminal_columns(&io::stdout()))
        }
        TableFormat::Json => report.json(),
    };
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::stdout(&error))?;
    Ok(report.exit_code())
}

/// A host that does not answer takes its time: on a terminal, its user learns what is waited for.
fn say_what_is_examined(inventory: &Inventory, quiet: bool, palette: Palette) {
    let number = inventory.enabled().count();
    let what = match inventory.source {
        Source::ThisMachine { .. } => "no hosts.toml found; examining this computer only",
        _ if !io::stderr().is_terminal() => return,
        _ if number == 1 => "examining 1 host",
        _ => &format!("examining {number} hosts, all at once"),
    };
    if !quiet {
        Message::note(what).print(palette);
    }
}

enum Examined {
    All(Vec<Examination>),
    Interrupted { signal: i32 },
}

async fn examinations(inventory: &Inventory) -> Result<Examined, Failure> {
    let demands = signals::listen().map_err(|error| {
        Failure::internal(Message::error("cannot listen to signals").cause(error))
    })?;
    // As the jobs of a run that is started here would find it.
    let directory = match std::env::current_dir() {
        Ok(path) => StartDirectory::Shared(path),
        Err(_) => StartDirectory::Scratch,
    };
    let run = format!("doctor-{}", RunId::random(0));
    let mut machine = SshVm::builder()
        .inventory(inventory.clone())
        .run(run)
        .prove_mirrors()
        .own_worker(worker::embedded())
        .directory(directory)
        .start()
        .map_err(|error| match error {
            SshVmError::NoHosts => Failure::Said {
                message: Message::of_error(&error),
                exit_code: exit_code::NO_USABLE_HOST,
            },
            other => Failure::usage(Message::of_error(&other)),
        })?;
    let examined = tokio::select! {
        examinations = examine(&mut machine) => Examined::All(examinations),
        signal = interrupted(demands) => Examined::Interrupted { signal },
    };
    machine.shutdown(Duration::ZERO, GOODBYE);
    while std::future::poll_fn(|context| machine.poll_event(context))
        .await
        .is_some()
    {}
    Ok(examined)
}

/// Waits for a signal that asks for an end; an examination has nothing to finish.
async fn interrupted(mut demands: watch::Receiver<Demand>) -> i32 {
    match demands
        .wait_for(|demand| demand.urgency > Urgency::Go)
        .await
    {
        Ok(demand) => demand.first.unwrap_or(2),
        // Nobody listens to signals any more: there is nothing to wait for.
        Err(_) => std::future::pending().await,
    }
}
