//! `cos-worker`, the binary that COS deploys to its hosts.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    cos_core::worker::init();
    let words = b"cos-worker: COS itself starts this program on its hosts; there is nothing to run by hand\n";
    // Nobody is there to be told when this fails.
    let _ = std::io::stderr().write_all(words);
    ExitCode::from(2)
}
