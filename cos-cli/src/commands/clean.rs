//! `cos clean`: removes what runs keep on the hosts for each other, and what killed ones have left there.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use cos_core::vm::VirtualMachine;
use cos_core::wire::message::HostReport;
use cos_ssh_vm::cleaning::{Cleaning, clean as clean_hosts};
use cos_ssh_vm::inventory::Inventory;
use cos_ssh_vm::{SshVm, SshVmError, StartDirectory};

use crate::arguments::CleanArguments;
use crate::escape::escape_line;
use crate::exit_code;
use crate::failure::Failure;
use crate::message::{Message, Palette};
use crate::record::RunId;
use crate::worker;

/// How long the hosts may take to confirm that nothing is left there.
const GOODBYE: Duration = Duration::from_secs(2);

/// Carries out `cos clean`.
pub(super) fn clean(arguments: &CleanArguments, out: &mut dyn Write) -> Result<u8, Failure> {
    let palette = Palette::choose(arguments.messages.color, io::stderr().is_terminal());
    let inventory = arguments
        .selection
        .selected()
        .map_err(|error| Failure::Rendered {
            text: error.render(palette == Palette::COLORED),
            exit_code: error.exit_code(),
        })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(Message::error("cannot start cleaning").cause(error)))?;
    let cleanings = runtime.block_on(cleanings(&inventory))?;
    let mut text = String::new();
    let mut clean = 0;
    for cleaning in &cleanings {
        clean += usize::from(tell(cleaning, &mut text));
    }
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::stdout(&error))?;
    Ok(match clean {
        all if all == cleanings.len() => exit_code::SUCCESS,
        0 => exit_code::NO_USABLE_HOST,
        _ => exit_code::SOME_HOSTS_UNUSABLE,
    })
}

async fn cleanings(inventory: &Inventory) -> Result<Vec<Cleaning>, Failure> {
    let mut machine = SshVm::builder()
        .inventory(inventory.clone())
        .run(format!("clean-{}", RunId::random(0)))
        .clear_stores()
        .own_worker(worker::embedded())
        .directory(StartDirectory::Scratch)
        .start()
        .map_err(|error| match error {
            SshVmError::NoHosts => Failure::Said {
                message: Message::of_error(&error),
                exit_code: exit_code::NO_USABLE_HOST,
            },
            other => Failure::usage(Message::of_error(&other)),
        })?;
    let cleanings = clean_hosts(&mut machine).await;
    machine.shutdown(Duration::ZERO, GOODBYE);
    while std::future::poll_fn(|context| machine.poll_event(context))
        .await
        .is_some()
    {}
    Ok(cleanings)
}

/// Writes what was done on a host, a line for each thing. Whether it is clean.
fn tell(cleaning: &Cleaning, text: &mut String) -> bool {
    let name = &cleaning.host;
    let mut line = |words: &str| {
        // A String takes everything.
        let _ = writeln!(text, "{name}: {}", escape_line(words.as_bytes()));
    };
    let mut is_clean = cleaning.left.is_empty();
    match &cleaning.told {
        Err(cause) => {
            is_clean = false;
            line(&format!("not cleaned: {cause}"));
        }
        Ok(info) => is_clean &= tell_report(&info.report, &mut line),
    }
    for left in &cleaning.left {
        line(&format!("left behind: {left}"));
    }
    is_clean
}

fn tell_report(report: &HostReport, line: &mut impl FnMut(&str)) -> bool {
    for swept in &report.swept {
        line(&format!("removed {}", swept.what));
    }
    match &report.cleared {
        Some(Ok(cleared)) => {
            let (files, bytes) = (cleared.files, cleared.bytes);
            match (files, report.swept.is_empty() && cleared.in_use == 0) {
                (0, true) => line("nothing to be removed"),
                (0, false) => {}
                _ => line(&format!("removed {files} stored files, {bytes} bytes")),
            }
            if cleared.in_use > 0 {
                line(&format!(
                    "{} stored files stay: runs are using them",
                    cleared.in_use
                ));
            }
            true
        }
        Some(Err(cause)) => {
            line(&format!("its store could not be emptied: {cause}"));
            false
        }
        None => true,
    }
}
