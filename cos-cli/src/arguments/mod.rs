//! The command line: what clap reads, turned into types that need no second check.
//!
//! Every flag is also read from the environment as `COS_<FLAG>`; the flag wins.

mod byte_count;
mod command_line;
mod gnu;
mod halt;
mod hosts;
mod job_environment;
mod run;
mod staging;
mod time;

use clap::builder::{FalseyValueParser, Styles};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;

pub use byte_count::{ByteCount, ParseByteCountError};
pub use command_line::{CommandLine, SourceLine, SourceMarker, SplitError};
pub use gnu::advice_for;
pub use halt::{Halt, HaltEvent, HaltThreshold, HaltUrgency, ParseHaltError};
pub use hosts::{HostSelection, HostsError};
pub use job_environment::{EnvironmentEntry, ParseEnvironmentError, SuccessExit, WorkingDirectory};
pub use run::{
    ColumnSeparator, FirstLineIsHeader, InputArguments, JobArguments, LimitArguments,
    OutputArguments, OutputFormat, OutputMode, ProgressArguments, RunArguments, ShowProgress,
    StatusLevel,
};
pub use staging::StagingArguments;
pub use time::{ParseTimeError, TimeLimit, parse_duration};

/// `cos`: runs commands on the hosts of a workstation lab.
#[derive(Debug, Parser)]
#[command(
    name = "cos",
    version,
    about = "Runs commands on the hosts of a workstation lab",
    after_help = "Every flag can also be set in the environment: --slots 4 is COS_SLOTS=4.",
    styles = Styles::styled(),
    subcommand_required = true,
    arg_required_else_help = true,
    infer_subcommands = false,
)]
pub struct Cli {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `cos`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one job per argument or line of input
    Run(Box<RunArguments>),
    /// List the hosts
    Hosts(HostsArguments),
    /// Check every host and say what is wrong with it
    #[command(visible_alias = "check")]
    Doctor(DoctorArguments),
    /// Remove what runs keep on the hosts for each other, and what killed ones have left
    Clean(CleanArguments),
    /// Write a hosts.toml into the current directory
    Init(InitArguments),
    /// Print a completion script for a shell
    Completions(CompletionsArguments),
    /// Print the manual page
    Man,
}

/// Arguments of `cos hosts`.
#[derive(Debug, clap::Args)]
pub struct HostsArguments {
    /// Which hosts.
    #[command(flatten)]
    pub selection: HostSelection,
    /// How the table is written
    #[arg(long, env = "COS_FORMAT", hide_env = true, value_enum, default_value_t)]
    pub format: TableFormat,
    /// How messages look.
    #[command(flatten)]
    pub color: ColorArguments,
}

/// Arguments of `cos doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 when jobs can run on every host, 5 when on some, 3 when on none.")]
pub struct DoctorArguments {
    /// Which hosts.
    #[command(flatten)]
    pub selection: HostSelection,
    /// How the findings are written
    #[arg(long, env = "COS_FORMAT", hide_env = true, value_enum, default_value_t)]
    pub format: TableFormat,
    /// Tell only what is not as it should be
    #[arg(long, env = "COS_QUIET", hide_env = true, value_parser = FalseyValueParser::new())]
    pub quiet: bool,
    /// Write what happens on the way to the hosts to this file
    #[arg(long, env = "COS_LOG_FILE", hide_env = true, value_name = "FILE")]
    pub log_file: Option<std::path::PathBuf>,
    /// How messages look.
    #[command(flatten)]
    pub messages: ColorArguments,
}

/// Arguments of `cos clean`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Removed are the files that were sent to the hosts, the scratch directories of runs that were killed, and their processes. \
What a living run uses stays.

Exit code: 0 when every host is clean, 5 when some could not be reached or cleaned, 3 when none could.")]
pub struct CleanArguments {
    /// Which hosts.
    #[command(flatten)]
    pub selection: HostSelection,
    /// How messages look.
    #[command(flatten)]
    pub messages: ColorArguments,
}

/// Arguments of `cos init`.
#[derive(Debug, clap::Args)]
pub struct InitArguments {
    /// Hosts to write into the file: ssh destinations, ranges such as ws[01-12] allowed;
    /// none means this computer alone
    #[arg(value_name = "HOST")]
    pub hosts: Vec<String>,
}

/// Arguments of `cos completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArguments {
    /// The shell to write the script for
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// How a table is written on standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// Columns for people
    #[default]
    Text,
    /// One JSON document
    Json,
}

/// The flag that decides about colours.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Messages")]
pub struct ColorArguments {
    /// When to colour: NO_COLOR and FORCE_COLOR decide when this is `auto`
    #[arg(long, env = "COS_COLOR", hide_env = true, value_enum, default_value_t)]
    pub color: ColorChoice,
}

/// Flags that decide how much is said, and in which colours.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Messages")]
pub struct MessageArguments {
    /// When to colour: NO_COLOR and FORCE_COLOR decide when this is `auto`
    #[arg(long, env = "COS_COLOR", hide_env = true, value_enum, default_value_t)]
    pub color: ColorChoice,
    /// Say nothing but errors
    #[arg(long, env = "COS_QUIET", hide_env = true, value_parser = FalseyValueParser::new())]
    pub quiet: bool,
    /// Tell how each host comes up; -vv also tells of every job, and logs more
    #[arg(short, long, env = "COS_VERBOSE", hide_env = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Also write the log to this file; cos.log in the run directory has it in any case
    #[arg(long, env = "COS_LOG_FILE", hide_env = true, value_name = "FILE")]
    pub log_file: Option<std::path::PathBuf>,
}

/// When to colour what is written on a terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless the environment says otherwise
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Why there is no command line to carry out.
#[derive(Debug, thiserror::Error)]
pub enum ParseFailure {
    /// clap has the answer: an error, the help text or the version. Print it and use its exit code.
    #[error(transparent)]
    Clap(Box<clap::Error>),
    /// A flag of GNU parallel that COS does not have.
    #[error("`{flag}` is a flag of GNU parallel that cos does not have")]
    GnuFlag {
        /// The flag as it was written.
        flag: String,
        /// What to do instead, a sentence.
        advice: &'static str,
    },
    /// A command was given where a subcommand belongs.
    #[error("cos has no command `{word}`")]
    UnknownCommand {
        /// The word that stands in its place.
        word: String,
        /// A command of a similar name.
        similar: Option<String>,
    },
}

impl ParseFailure {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Clap(_) => None,
            Self::GnuFlag { advice, .. } => Some((*advice).to_owned()),
            Self::UnknownCommand {
                similar: Some(similar),
                ..
            } => Some(format!("did you mean `cos {similar}`?")),
            Self::UnknownCommand {
                word,
                similar: None,
            } => Some(format!("to run it on the hosts: `cos run {word} ...`")),
        }
    }
}

/// Reads a command line, its first word being the name of the program.
///
/// # Errors
///
/// Everything that keeps it from being carried out, and the requests for help and version.
pub fn parse<I>(words: I) -> Result<Cli, ParseFailure>
where
    I: IntoIterator<Item = OsString>,
{
    Cli::try_parse_from(words).map_err(|error| {
        let context = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.clone()),
            Some(ContextValue::Strings(texts)) => texts.first().cloned(),
            _ => None,
        };
        match error.kind() {
            ErrorKind::UnknownArgument => {
                if let Some(flag) = context(ContextKind::InvalidArg)
                    && let Some(advice) = advice_for(&flag)
                {
                    return ParseFailure::GnuFlag { flag, advice };
                }
            }
            ErrorKind::InvalidSubcommand => {
                if let Some(word) = context(ContextKind::InvalidSubcommand) {
                    let similar = context(ContextKind::SuggestedSubcommand);
                    return ParseFailure::UnknownCommand { word, similar };
                }
            }
            _ => {}
        }
        ParseFailure::Clap(Box::new(error))
    })
}

/// The whole command line as clap knows it, for completions and the manual page.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests;
