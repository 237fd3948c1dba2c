//! Why there is no inventory.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::find::LookedIn;
use super::ownership::Distrust;
use super::report::{Report, shown_path};

/// Why there is no inventory. All of these are the user's to mend; nothing was asked of any host.
///
/// [`Display`](std::fmt::Display) gives the complete report, beginning with `error:`, without colour and
/// without a newline at its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InventoryError {
    /// A hosts.toml was demanded and there is none. Cure: write one, or name the hosts.
    #[error(
        "error: no hosts.toml found\n  looked in: {looked_in}\n  \
         hint: `cos init` writes one; `cos run -S ws01,ws02 ...` needs none"
    )]
    NotFound {
        /// Where it was looked for.
        looked_in: LookedIn,
    },
    /// A file was found that somebody else could have written. Cure: name it, or take it into possession.
    #[error("error: {} {distrust}; not read\n  hint: {}", shown_path(path), distrust.cure(path))]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        distrust: Distrust,
    },
    /// The file cannot be read.
    #[error("error: cannot read {}\n  {cause}", shown_path(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: io::Error,
    },
    /// The file, or the value of `--sshlogin`, has mistakes.
    #[error("{0}")]
    Invalid(Report),
}

impl InventoryError {
    /// The complete report as [`Display`](std::fmt::Display) gives it, with terminal colours if `color`.
    pub fn render(&self, color: bool) -> String {
        match self {
            Self::Invalid(report) => report.render(color),
            other => {
                let plain = other.to_string();
                match plain.strip_prefix("error:") {
                    Some(rest) if color => format!("{ERROR_STYLE}error{ERROR_STYLE:#}:{rest}"),
                    _ => plain,
                }
            }
        }
    }
}

/// As the renderer of reports has it.
const ERROR_STYLE: anstyle::Style = anstyle::AnsiColor::BrightRed
    .on_default()
    .effects(anstyle::Effects::BOLD);

impl From<Report> for InventoryError {
    fn from(report: Report) -> Self {
        Self::Invalid(report)
    }
}
