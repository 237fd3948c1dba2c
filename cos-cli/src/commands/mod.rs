//! The commands of `cos`, and the one function that `main` calls.

mod clean;
mod completions;
mod doctor;
mod dry_run;
mod hosts;
mod init;
mod man;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use crate::arguments::{self, ColorChoice, Command, ParseFailure};
use crate::exit_code;
use crate::failure::Failure;
use crate::message::{Message, Palette};
use crate::run;

/// Carries out the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    // Started as a worker on this machine, this process does not get past this line.
    cos_core::worker::init();
    let cli = match arguments::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(ParseFailure::Clap(error)) => {
            // Help and version go to standard output; a closed one is no error.
            let _ = error.print();
            return ExitCode::from(
                u8::try_from(error.exit_code()).unwrap_or(exit_code::USAGE_ERROR),
            );
        }
        Err(failure) => {
            Message::from(&failure).print(stderr_palette(None));
            return ExitCode::from(exit_code::USAGE_ERROR);
        }
    };
    let (outcome, color) = match cli.command {
        Command::Run(arguments) if arguments.job.dry_run => (
            dry_run::dry_run(&arguments, &mut stdout()),
            Some(arguments.messages.color),
        ),
        Command::Run(arguments) => (run::run(&arguments), Some(arguments.messages.color)),
        Command::Hosts(arguments) => (
            hosts::list(&arguments, &mut stdout()),
            Some(arguments.color.color),
        ),
        Command::Doctor(arguments) => (
            doctor::doctor(&arguments, &mut stdout()),
            Some(arguments.messages.color),
        ),
        Command::Clean(arguments) => (
            clean::clean(&arguments, &mut stdout()),
            Some(arguments.messages.color),
        ),
        Command::Init(arguments) => (init::init(&arguments, &mut stdout()), None),
        Command::Completions(arguments) => {
            (completions::write(arguments.shell, &mut stdout()), None)
        }
        Command::Man => (man::write(&mut stdout()), None),
    };
    let palette = stderr_palette(color);
    ExitCode::from(match outcome {
        Ok(exit_code) => exit_code,
        Err(Failure::Closed) => exit_code::SUCCESS,
        Err(Failure::Said { message, exit_code }) => {
            message.print(palette);
            exit_code
        }
        Err(Failure::Rendered { text, exit_code }) => {
            let _ = io::stderr().lock().write_all(text.as_bytes());
            exit_code
        }
    })
}

fn stdout() -> impl Write {
    io::BufWriter::new(io::stdout().lock())
}

fn stderr_palette(choice: Option<ColorChoice>) -> Palette {
    Palette::choose(choice.unwrap_or_default(), io::stderr().is_terminal())
}
