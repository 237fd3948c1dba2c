//! `cos run --dry-run`: the commands that would run, one after the other.

use std::io::{self, IsTerminal, Write};

use crate::arguments::RunArguments;
use crate::exit_code;
use crate::failure::Failure;
use crate::message::{Message, Palette};
use crate::sources::{InputOptions, JobInputs, SourceError, StandardInput};
use crate::template::Template;

pub(super) fn dry_run(arguments: &RunArguments, out: &mut dyn Write) -> Result<u8, Failure> {
    let line = arguments
        .command_line()
        .map_err(|error| Failure::usage(Message::of_error(&error)))?;
    let options = InputOptions::from(&arguments.input);
    let inputs =
        JobInputs::open(&line, options, StandardInput::of_process()).map_err(source_failure)?;
    let words: Vec<_> = line
        .command
        .iter()
        .map(|word| word.as_encoded_bytes())
        .collect();
    let template = Template::command(&words, inputs.column_names());
    let palette = Palette::choose(arguments.messages.color, io::stderr().is_terminal());
    write_commands(&template, inputs, out, palette)
}

fn write_commands(
    template: &Template,
    inputs: JobInputs,
    out: &mut dyn Write,
    palette: Palette,
) -> Result<u8, Failure> {
    let mut exit_code = exit_code::NO_JOBS;
    for (sequence, row) in (1..).zip(inputs) {
        let row = row.map_err(source_failure)?;
        let mut command = match template.bind(row.values(), sequence) {
            Ok(bound) => bound.shown(None),
            // As in a run, the rows after it go on.
            Err(error) => {
                out.flush().map_err(|error| Failure::stdout(&error))?;
                let message = Message::error(format_args!("job {sequence}: {error}"));
                message.hint(error.hint()).print(palette);
                exit_code = exit_code::JOBS_FAILED;
                continue;
            }
        };
        command.push(b'\n');
        out.write_all(&command)
            .map_err(|error| Failure::stdout(&error))?;
        if exit_code == exit_code::NO_JOBS {
            exit_code = exit_code::SUCCESS;
        }
    }
    out.flush().map_err(|error| Failure::stdout(&error))?;
    if exit_code == exit_code::NO_JOBS {
        let message = Message::error("no jobs: the input is empty");
        return Err(Failure::Said { message, exit_code });
    }
    Ok(exit_code)
}

fn source_failure(error: SourceError) -> Failure {
    let message = Message::of_error(&error);
    Failure::usage(match error.hint() {
        Some(hint) => message.hint(hint),
        None => message,
    })
}
