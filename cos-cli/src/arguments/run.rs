//! The flags of `cos run`.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{FalseyValueParser, OsStringValueParser, TypedValueParser};

use super::time::{TimeLimit, parse_duration};
use super::{
    ByteCount, CommandLine, EnvironmentEntry, Halt, HostSelection, MessageArguments, SplitError,
    StagingArguments, SuccessExit, WorkingDirectory,
};

/// Arguments of `cos run`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    override_usage = "cos run [OPTIONS] COMMAND... ::: ARGUMENT...\n       \
                      cos run [OPTIONS] COMMAND... :::: FILE...\n       \
                      cos run [OPTIONS] [COMMAND...] < LIST",
    after_help = "\
Replacement strings, quoted for the shell:
  {}  the argument             {#}    the job's number
  {.} without its extension    {%}    the slot's number
  {/} its last component       {2}    the second argument, {-1} the last one
  {//} its directory           {m}    the path as the job's host sees it
  {/.} last component without  {2m/.} these can be joined
       its extension           {name} a column of --header :

Every flag can also be set in the environment: --slots 4 is COS_SLOTS=4."
)]
pub struct RunArguments {
    /// The command, and `:::` with its arguments
    // No `allow_hyphen_values`: it would swallow `-j4`.
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub words: Vec<OsString>,
    /// Where jobs run.
    #[command(flatten)]
    pub hosts: HostSelection,
    /// Start no job before every host is up; end with exit 3 if one cannot be
    #[arg(
        long,
        env = "COS_REQUIRE_ALL_HOSTS",
        hide_env = true,
        help_heading = "Hosts",
        value_parser = FalseyValueParser::new()
    )]
    pub require_all_hosts: bool,
    /// Where jobs come from.
    #[command(flatten)]
    pub input: InputArguments,
    /// What a job sees.
    #[command(flatten)]
    pub job: JobArguments,
    /// Files that travel with jobs.
    #[command(flatten)]
    pub staging: StagingArguments,
    /// When to give up.
    #[command(flatten)]
    pub limits: LimitArguments,
    /// What becomes of the jobs' output.
    #[command(flatten)]
    pub output: OutputArguments,
    /// What is shown on the way.
    #[command(flatten)]
    pub progress: ProgressArguments,
    /// How messages look.
    #[command(flatten)]
    pub messages: MessageArguments,
}

impl RunArguments {
    /// The command and its input sources, those of `-a` first.
    ///
    /// # Errors
    ///
    /// When the words after a marker make no source.
    pub fn command_line(&self) -> Result<CommandLine, SplitError> {
        CommandLine::split(&self.words, &self.input.arg_file)
    }
}

/// Flags that say where jobs come from.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Input")]
pub struct InputArguments {
    /// Read arguments from this file, one per line; `-` is standard input
    #[arg(
        short = 'a',
        long,
        env = "COS_ARG_FILE",
        hide_env = true,
        value_name = "FILE"
    )]
    pub arg_file: Vec<PathBuf>,
    /// Arguments end with a NUL byte instead of a line feed
    #[arg(
        short = '0',
        long,
        env = "COS_NULL",
        hide_env = true,
        value_parser = FalseyValueParser::new()
    )]
    pub null: bool,
    /// Split every argument into columns at this regular expression
    #[arg(
        short = 'C',
        long,
        env = "COS_COLSEP",
        hide_env = true,
        value_name = "REGEX"
    )]
    pub colsep: Option<ColumnSeparator>,
    /// The first line of every source names its columns: `--header :`
    #[arg(long, env = "COS_HEADER", hide_env = true, value_name = ":", value_parser = parse_header)]
    pub header: Option<FirstLineIsHeader>,
}

/// That the first line of every source names its columns (`--header :`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstLineIsHeader;

fn parse_header(text: &str) -> Result<FirstLineIsHeader, &'static str> {
    if text == ":" {
        Ok(FirstLineIsHeader)
    } else {
        Err("expected `:`, the first line; other headers of GNU parallel are not read here")
    }
}

/// A regular expression between columns; matched on bytes.
#[derive(Debug, Clone)]
pub struct ColumnSeparator(pub regex::bytes::Regex);

impl std::str::FromStr for ColumnSeparator {
    type Err = regex::Error;

    fn from_str(text: &str) -> Result<Self, regex::Error> {
        regex::bytes::RegexBuilder::new(text)
            .size_limit(1 << 20)
            .build()
            .map(Self)
    }
}

/// Flags that say what a job sees.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Jobs")]
pub struct JobArguments {
    /// Cores that a job needs
    #[arg(
        long,
        env = "COS_CORES",
        hide_env = true,
        value_name = "N",
        default_value = "1"
    )]
    pub cores: NonZeroU32,
    /// Directory of this computer to run in, where the host shares it; `...` is a private one per job
    #[arg(
        long,
        alias = "wd",
        env = "COS_WORKDIR",
        hide_env = true,
        value_name = "DIR",
        default_value = ".",
        value_parser = OsStringValueParser::new().map(WorkingDirectory::from)
    )]
    pub workdir: WorkingDirectory,
    /// Variable or exported shell function to hand on, or NAME=VALUE; may be repeated
    #[arg(
        long,
        env = "COS_ENV",
        hide_env = true,
        value_name = "NAME[=VALUE]",
        value_parser = OsStringValueParser::new().try_map(|word| EnvironmentEntry::parse(&word))
    )]
    pub env: Vec<EnvironmentEntry>,
    /// Priority of the jobs, 0 to 19; hosts.toml or 10 where not given
    #[arg(
        long,
        env = "COS_NICE",
        hide_env = true,
        value_name = "N",
        value_parser = clap::value_parser!(i32).range(0..=19)
    )]
    pub nice: Option<i32>,
    /// Shell that runs the commands, a POSIX one; hosts.toml or /bin/sh where not given
    #[arg(long, env = "COS_SHELL", hide_env = true, value_name = "SHELL")]
    pub shell: Option<String>,
    /// Print the commands instead of running them
    #[arg(
        long,
        alias = "dryrun",
        env = "COS_DRY_RUN",
        hide_env = true,
        value_parser = FalseyValueParser::new()
    )]
    pub dry_run: bool,
}

/// Flags that say when to give up.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "When to give up")]
pub struct LimitArguments {
    /// How often a job is tried in all
    #[arg(
        long,
        env = "COS_RETRIES",
        hide_env = true,
        value_name = "N",
        default_value = "1"
    )]
    pub retries: NonZeroU32,
    /// End jobs that take longer: 90s, 5m, or 300% of the median
    #[arg(
        long,
        env = "COS_TIMEOUT",
        hide_env = true,
        value_name = "TIME",
        default_value = "never"
    )]
    pub timeout: TimeLimit,
    /// Stop the run early: soon,fail=1 or now,fail=10%, or with success, done
    #[arg(
        long,
        env = "COS_HALT",
        hide_env = true,
        value_name = "WHEN",
        default_value = "never"
    )]
    pub halt: Halt,
    /// Pause between the starts of two jobs
    #[arg(
        long,
        env = "COS_DELAY",
        hide_env = true,
        value_name = "TIME",
        default_value = "0",
        value_parser = parse_duration
    )]
    pub delay: Duration,
    /// From when on a job counts as slow, once ten are done
    #[arg(
        long,
        env = "COS_SLOW",
        hide_env = true,
        value_name = "TIME",
        default_value = "300%"
    )]
    pub slow: TimeLimit,
    /// Exit codes that mean success, besides 0
    #[arg(
        long,
        env = "COS_SUCCESS_EXIT",
        hide_env = true,
        value_name = "CODES",
        value_delimiter = ','
    )]
    pub success_exit: Vec<u8>,
}

impl LimitArguments {
    /// The exit codes that mean success.
    #[must_use]
    pub fn success(&self) -> SuccessExit {
        SuccessExit::new(self.success_exit.iter().copied())
    }
}

/// Flags that say what becomes of the jobs' output.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArguments {
    /// When the jobs' output is shown
    #[arg(long, env = "COS_OUTPUT", hide_env = true, value_enum, default_value_t)]
    pub output: OutputMode,
    /// Show output in the order of the input
    #[arg(
        short = 'k',
        long,
        env = "COS_KEEP_ORDER",
        hide_env = true,
        value_parser = FalseyValueParser::new()
    )]
    pub keep_order: bool,
    /// Begin every line of output with the job's argument and a tab
    #[arg(long, env = "COS_TAG", hide_env = true, value_parser = FalseyValueParser::new())]
    pub tag: bool,
    /// Begin every line of output with this and a tab; replacement strings are allowed
    #[arg(long, env = "COS_TAGSTRING", hide_env = true, value_name = "TEXT")]
    pub tagstring: Option<OsString>,
    /// What standard output carries: the jobs' output, or one event per line
    #[arg(long, env = "COS_FORMAT", hide_env = true, value_enum, default_value_t)]
    pub format: OutputFormat,
    /// Bytes of each output stream that a job may send back; the rest is counted and dropped
    #[arg(
        long,
        env = "COS_MAX_OUTPUT",
        hide_env = true,
        value_name = "BYTES",
        default_value = "1Gi"
    )]
    pub max_output: ByteCount,
    /// Also write GNU parallel's job log to this file
    #[arg(long, env = "COS_JOBLOG", hide_env = true, value_name = "FILE")]
    pub joblog: Option<PathBuf>,
    /// Also write every job's output into files below this directory, as GNU parallel does
    #[arg(long, env = "COS_RESULTS", hide_env = true, value_name = "DIR")]
    pub results: Option<OsString>,
}

impl OutputArguments {
    /// The template that begins every line of output, where one was asked for.
    #[must_use]
    pub fn tag_template(&self) -> Option<&[u8]> {
        match &self.tagstring {
            Some(template) => Some(template.as_bytes()),
            None => self.tag.then_some(b"{}"),
        }
    }
}

/// Flags that say what is shown while jobs run.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Progress")]
pub struct ProgressArguments {
    /// How progress is shown on standard error
    #[arg(
        long,
        env = "COS_SHOW_PROGRESS",
        hide_env = true,
        value_enum,
        default_value_t
    )]
    pub show_progress: ShowProgress,
    /// The same as --show-progress bar
    #[arg(long, env = "COS_BAR", hide_env = true, value_parser = FalseyValueParser::new())]
    pub bar: bool,
    /// The same as --show-progress bar, which tells the time that is left
    #[arg(long, env = "COS_ETA", hide_env = true, value_parser = FalseyValueParser::new())]
    pub eta: bool,
    /// How many hosts have a line of their own in the display
    #[arg(
        long,
        env = "COS_MAX_HOSTS_SHOWN",
        hide_env = true,
        value_name = "N",
        default_value = "8"
    )]
    pub max_hosts_shown: u16,
    /// Which jobs are worth a line
    #[arg(
        long,
        env = "COS_STATUS_LEVEL",
        hide_env = true,
        value_enum,
        default_value_t
    )]
    pub status_level: StatusLevel,
}

impl ProgressArguments {
    /// How progress is shown, `--bar` and `--eta` considered.
    #[must_use]
    pub fn shown(&self) -> ShowProgress {
        if self.bar || self.eta {
            ShowProgress::Bar
        } else {
            self.show_progress
        }
    }
}

/// When the jobs' output is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputMode {
    /// All output of a job at once, when it has ended
    #[default]
    Group,
    /// Line by line, as it comes; lines of several jobs mix
    Line,
    /// Not at all; it is in the run directory
    None,
}

/// What standard output carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// The jobs' output
    #[default]
    Text,
    /// Events, one JSON document per line
    Jsonl,
}

/// How progress is shown on standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ShowProgress {
    /// Bars on a terminal, lines elsewhere
    #[default]
    Auto,
    /// Bars where there is a terminal
    Bar,
    /// One line that counts
    Counter,
    /// Nothing but messages
    None,
}

/// Which jobs are worth a line; each level includes those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum StatusLevel {
    /// No job
    None,
    /// Jobs that failed
    Fail,
    /// Jobs that are tried again
    Retry,
    /// Jobs that take long
    #[default]
    Slow,
    /// Jobs that succeeded
    Pass,
    /// Everything, the start of jobs too
    All,
}
