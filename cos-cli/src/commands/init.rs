//! `cos init`: writes the first hosts.toml.

use std::io::{self, Write};
use std::path::Path;

use cos_ssh_vm::inventory::{create_starter, starter};

use crate::arguments::InitArguments;
use crate::exit_code;
use crate::failure::Failure;
use crate::message::Message;

const FILE: &str = "hosts.toml";

pub(super) fn init(arguments: &InitArguments, out: &mut dyn Write) -> Result<u8, Failure> {
    let text = starter(&arguments.hosts).map_err(|(name, error)| {
        Failure::usage(Message::error(format!("`{name}` is no host name")).cause(error))
    })?;
    write_file(Path::new(FILE), &text)?;
    let next = match arguments.hosts.as_slice() {
        [] => "cos run echo ::: it works",
        _ => "cos doctor",
    };
    write!(out, "wrote {FILE}:\n\n{text}\nNext: {next}\n")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::stdout(&error))?;
    Ok(exit_code::SUCCESS)
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    create_starter(path, text).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::usage(
            Message::error(format!("there is a {FILE} here already"))
                .hint("edit it, or remove it first"),
        ),
        _ => Failure::internal(Message::error(format!("cannot write {FILE}")).cause(error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(FILE);
        assert!(write_file(&path, "a\n").is_ok());
        let Err(Failure::Said { exit_code, .. }) = write_file(&path, "b\n") else {
            panic!("the file was overwritten")
        };
        assert_eq!(exit_code, exit_code::USAGE_ERROR);
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "a\n");
    }
}
