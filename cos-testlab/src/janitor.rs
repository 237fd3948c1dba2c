//! The one who cleans up after a lab whose process was killed.
//!
//! A lab ends when it is dropped. But a test run is also interrupted by Ctrl-C, aborted, killed for
//! its time, and a lab in a `static` is never dropped. So each lab has a small shell beside it that
//! waits for the end of a pipe which only the lab's process holds.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::error::LabError;
use crate::host::HOST_VARIABLE;

/// Reads until the lab's process is gone, and does nothing when the lab has cleaned up by itself.
/// Listeners are known by the title that sshd gives itself, sessions by their parent, everything
/// else by its environment. Several rounds, since what is not yet dead may fork.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
cat >/dev/null
directory=$1 mark=$2
[ -d "$directory" ] || exit 0
for round in 1 2 3 4 5 6 7 8; do
    found=
    for file in $(grep -lsaF "$mark" /proc/[0-9]*/environ); do
        pid=${file#/proc/}
        found="$found ${pid%%/*}"
    done
    for file in $(grep -lsaF "$directory/" /proc/[0-9]*/cmdline); do
        pid=${file#/proc/} pid=${pid%%/*}
        case $(cat "/proc/$pid/comm" 2>/dev/null) in
            sshd*) found="$found $(cat /proc/$pid/task/*/children 2>/dev/null) $pid" ;;
        esac
    done
    [ -n "$found" ] || break
    kill -STOP $found 2>/dev/null
    kill -KILL $found 2>/dev/null
done
rm -rf -- "$directory"
"#;

/// A running janitor.
#[derive(Debug)]
pub(crate) struct Janitor(Child);

impl Janitor {
    pub(crate) fn start(directory: &Path, lab_id: &str) -> Result<Self, LabError> {
        let shell = Path::new("/bin/sh");
        Command::new(shell)
            .args(["-c", SCRIPT, "cos-testlab-janitor"])
            .arg(directory)
            .arg(format!("{HOST_VARIABLE}={lab_id}/"))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is for the test's own process group.
            .process_group(0)
            .spawn()
            .map(Self)
            .map_err(LabError::file("run", shell))
    }
}

impl Drop for Janitor {
    /// Lets the janitor go. Where the lab's directory has been removed before, it has nothing to do.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It may have been killed by others: then there is nothing to wait for.
        let _ = self.0.wait();
    }
}
