//! The command `cos`.

use std::process::ExitCode;

fn main() -> ExitCode {
    cos_cli::commands::main()
}
