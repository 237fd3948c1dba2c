//! Jobs from their inputs: each row of values becomes a command for the kernel and a record for the displays.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use cos_core::ids::ClassId;
use cos_core::job::{CommandEnd, CommandJob, Job, JobDirectory, Needs, Program};

use super::mapping::Mapping;
use super::staging::{StagingError, StagingTemplates};
use crate::sources::Row;
use crate::template::{BindError, BoundCommand, CompleteError, Template};

/// How many classes of commands are told apart when every line is a command of its own.
const CLASSES: u64 = 4096;

/// What the rest of the run needs to know of a job while it is under way.
#[derive(Clone, Debug)]
pub(super) struct JobRecord {
    /// Its values.
    pub(super) row: Row,
    /// Its command as people see it.
    pub(super) command: Vec<u8>,
    /// What begins each line of its output, with `--tag`.
    pub(super) tag: Option<Vec<u8>>,
    /// Its command with paths of this machine, where they are to be named as its host sees them.
    pub(super) to_map: Option<BoundCommand>,
    /// What the user can do about it, if no command could be made of its values.
    pub(super) cure: Option<String>,
}

/// Why a row makes no command.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    /// A value stands where no quoting makes it data.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A file of it cannot travel.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// No host sees the path of a `{m}`.
    #[error("{0}")]
    Unmapped(String),
}

impl CommandError {
    /// What the user can do about it.
    fn cure(&self) -> String {
        match self {
            Self::Bind(error) => error.hint(),
            Self::Staging(error) => error.cure(),
            Self::Unmapped(_) => {
                "`{m}` is for files that the hosts share: `mirrored_storage` in hosts.toml"
                    .to_owned()
            }
        }
    }
}

/// The records of the jobs under way, by their sequence numbers: bounded, since jobs are pulled only as slots free up.
#[derive(Clone, Debug, Default)]
pub(super) struct JobRecords(Rc<RefCell<HashMap<u64, Rc<JobRecord>>>>);

impl JobRecords {
    /// The record of a job under way.
    #[must_use]
    pub(super) fn of(&self, sequence: u64) -> Option<Rc<JobRecord>> {
        self.0.borrow().get(&sequence).cloned()
    }

    /// Forgets a job that has ended.
    pub(super) fn forget(&self, sequence: u64) {
        self.0.borrow_mut().remove(&sequence);
    }

    fn insert(&self, sequence: u64, record: JobRecord) {
        self.0.borrow_mut().insert(sequence, Rc::new(record));
    }
}

/// Makes jobs of rows.
#[derive(Debug)]
pub(super) struct JobFactory {
    /// The command.
    pub(super) template: Template,
    /// The template of the tag, with `--tag` or `--tagstring`.
    pub(super) tag: Option<Template>,
    /// Whether each row is a command of its own.
    pub(super) rows_are_commands: bool,
    /// What each job takes and where it may run.
    pub(super) needs: Needs,
    /// Where each job starts.
    pub(super) directory: JobDirectory,
    /// How many bytes of each stream come back.
    pub(super) output_limit: u64,
    /// Files that travel with each job.
    pub(super) staging: Option<StagingTemplates>,
    /// Where records go.
    pub(super) records: JobRecords,
    /// Where this machine's files are on the hosts, if a command has paths to be mapped.
    pub(super) mapping: Option<Rc<Mapping>>,
}

impl JobFactory {
    /// The job of a row. A row that makes no command is a job that fails at once, and the rows after it go on.
    pub(super) fn job(&self, sequence: u64, row: Row) -> Job<CommandEnd, u64> {
        let tag = self.tag.as_ref().and_then(|template| {
            let tag = template.bind(row.values(), sequence);
            tag.ok().map(|tag| tag.shown(None))
        });
        let staging = match &self.staging {
            Some(staging) => staging
                .of(&row, sequence)
                .map(Some)
                .map_err(CommandError::from),
            None => Ok(None),
        };
        let command = self.command(sequence, &row);
        let command = command.and_then(|(bound, program)| Ok((bound, program, staging?)));
        let (job, record) = match command {
            Ok((bound, program, staging)) => {
                let command = bound.shown(None);
                let class = match self.rows_are_commands {
                    true => class_of(&command),
                    false => ClassId(0),
                };
                let job = CommandJob {
                    directory: self.directory.clone(),
                    output_limit: self.output_limit,
                    staging,
                    ..CommandJob::new(sequence, program)
                };
                let record = JobRecord {
                    row,
                    command,
                    tag,
                    to_map: bound.needs_mapping().then_some(bound),
                    cure: None,
                };
                let job = Job::command(job).needs(self.needs.clone()).class(class);
                (job, record)
            }
            Err(error) => {
                let record = JobRecord {
                    row,
                    command: self.template.written(),
                    tag,
                    to_map: None,
                    cure: Some(error.cure()),
                };
                (Job::invalid(error), record)
            }
        };
        self.records.insert(sequence, record);
        job.extra(sequence)
    }

    /// The command of a row, and what its host is to run as far as that is known yet.
    fn command(&self, sequence: u64, row: &Row) -> Result<(BoundCommand, Program), CommandError> {
        let bound = self.template.bind(row.values(), sequence)?;
        // Paths stay as they are here until the job's host is known; one that no host could see is told now.
        let seen = |path: &[u8]| match &self.mapping {
            Some(mapping) => mapping.check(path).map(|()| path.to_vec()),
            None => Ok(path.to_vec()),
        };
        let program = bound.program(seen).map_err(|error| match error {
            CompleteError::Unquotable(error) => CommandError::Bind(error),
            CompleteError::Unmapped(reason) => CommandError::Unmapped(reason),
        })?;
        Ok((bound, program))
    }
}

/// Commands that begin with the same word need the same tool.
fn class_of(command: &[u8]) -> ClassId {
    let word = command
        .split(u8::is_ascii_whitespace)
        .find(|word| !word.is_empty());
    let mut hasher = DefaultHasher::new();
    word.hash(&mut hasher);
    ClassId((hasher.finish() % CLASSES) as u32)
}

impl crate::progress::JobLabels for JobRecords {
    fn command(&self, index: u64) -> Option<std::borrow::Cow<'_, [u8]>> {
        self.of(index + 1).map(|job| job.command.clone().into())
    }
}
