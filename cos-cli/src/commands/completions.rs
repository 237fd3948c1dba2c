//! `cos completions`: a completion script for a shell.

use std::io::Write;

use crate::failure::Failure;
use crate::{arguments, exit_code};

pub(super) fn write(shell: clap_complete::Shell, out: &mut dyn Write) -> Result<u8, Failure> {
    // Generated into memory: the generator panics when its output is closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut arguments::command(), "cos", &mut script);
    out.write_all(&script)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::stdout(&error))?;
    Ok(exit_code::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_completes_commands_and_flags() {
        for shell in clap_complete::Shell::value_variants() {
            let mut script = Vec::new();
            assert!(write(*shell, &mut script).is_ok());
            let script = String::from_utf8(script).expect("text");
            for word in ["doctor", "keep-order"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
