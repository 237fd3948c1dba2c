//! What a run is to be, settled and checked before anything is started.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::rc::Rc;

use cos_core::job::{Amounts, JobDirectory, Needs};
use cos_core::kernel::{ExitCodes, KernelConfig, Prefetch, TaskPolicy, TimeLimit as TaskTimeLimit};
use cos_ssh_vm::inventory::{HostSpec, Inventory, SlotCount, Source};

use super::jobs::{JobFactory, JobRecords};
use super::mapping::Mapping;
use super::staging::StagingTemplates;
use crate::arguments::{EnvironmentEntry, RunArguments, TimeLimit, WorkingDirectory};
use crate::exit_code;
use crate::failure::Failure;
use crate::message::{Message, Palette};
use crate::record::Results;
use crate::sources::{InputOptions, InputReader, JobInputs, SourceError, StandardInput};
use crate::template::Template;

/// A run that can begin.
pub(super) struct Plan {
    pub(super) inventory: Inventory,
    pub(super) input: InputReader,
    pub(super) factory: JobFactory,
    pub(super) policy: TaskPolicy,
    pub(super) config: KernelConfig,
    pub(super) results: Option<Results>,
    /// The directory that jobs start in, where it is to be this machine's.
    pub(super) directory: Option<PathBuf>,
    pub(super) environment: Vec<(OsString, OsString)>,
    /// What the user should know of it, once it is sure that it begins.
    pub(super) notes: Vec<Message>,
}

impl Plan {
    /// Settles everything that the command line, hosts.toml and the start of the input decide.
    pub(super) fn new(arguments: &RunArguments) -> Result<Self, Failure> {
        let palette = Palette::choose(arguments.messages.color, io::stderr().is_terminal());
        let inventory = inventory(arguments, palette)?;
        let line = arguments
            .command_line()
            .map_err(|error| Failure::usage(Message::of_error(&error)))?;
        let options = InputOptions::from(&arguments.input);
        let inputs =
            JobInputs::open(&line, options, StandardInput::of_process()).map_err(of_source)?;
        let names = inputs.column_names().to_vec();
        let words: Vec<_> = line
            .command
            .iter()
            .map(|word| word.as_encoded_bytes())
            .collect();
        let template = Template::command(&words, &names);
        let directory = directory(arguments)?;
        let mapping = match template.needs_mapping() {
            true => Some(
                Mapping::new(&inventory, directory.clone())
                    .map_err(|error| Failure::usage(Message::of_error(&error)))?,
            ),
            false => None,
        };
        let results = match &arguments.output.results {
            Some(name) => Some(
                Results::new(name, &names)
                    .map_err(|error| Failure::usage(Message::of_error(&error)))?,
            ),
            None => None,
        };
        let needs = needs(arguments, &inventory)?;
        let staging = StagingTemplates::new(&arguments.staging, &arguments.job.workdir, &names)?;
        let private = arguments.job.workdir == WorkingDirectory::PerJob;
        let factory = JobFactory {
            rows_are_commands: words.is_empty(),
            tag: arguments
                .output
                .tag_template()
                .map(|text| Template::text(text, &names)),
            template,
            needs,
            directory: if private {
                JobDirectory::Private
            } else {
                JobDirectory::Run
            },
            output_limit: arguments.output.max_output.0,
            staging,
            records: JobRecords::default(),
            mapping: mapping.map(Rc::new),
        };
        let notes = [this_machine(&inventory), functions(arguments, &inventory)];
        Ok(Self {
            notes: notes.into_iter().flatten().collect(),
            policy: policy(arguments),
            config: config(arguments, &inventory),
            directory,
            environment: environment(arguments)?,
            input: InputReader::spawn(inputs).map_err(|error| {
                Failure::internal(Message::error("cannot read the input").cause(error))
            })?,
            inventory,
            factory,
            results,
        })
    }
}

/// The hosts of the run, with the flags that overrule hosts.toml.
fn inventory(arguments: &RunArguments, palette: Palette) -> Result<Inventory, Failure> {
    let mut inventory = arguments
        .hosts
        .selected()
        .map_err(|error| Failure::Rendered {
            text: error.render(palette == Palette::COLORED),
            exit_code: error.exit_code(),
        })?;
    for host in &mut inventory.hosts {
        if let Some(nice) = arguments.job.nice {
            host.nice = nice;
        }
        if let Some(shell) = &arguments.job.shell {
            host.shell.clone_from(shell);
        }
    }
    Ok(inventory)
}

/// That there is no hosts.toml, which may have been meant to be here.
fn this_machine(inventory: &Inventory) -> Option<Message> {
    let Source::ThisMachine { .. } = inventory.source else {
        return None;
    };
    let slots: Vec<_> = inventory
        .hosts
        .iter()
        .map(|host| slots_text(host.slots))
        .collect();
    let slots = slots.join(", ");
    let text = format!("no hosts.toml found; running on this computer only, {slots}");
    Some(Message::note(text))
}

/// That a shell function reaches no job whose shell is not bash: others drop variables of such names.
fn functions(arguments: &RunArguments, inventory: &Inventory) -> Option<Message> {
    let is_function = |entry: &&EnvironmentEntry| match entry {
        EnvironmentEntry::Inherit(name) => std::env::var_os(function_variable(name)).is_some(),
        EnvironmentEntry::Set(..) => false,
    };
    let function = arguments.job.env.iter().find(is_function)?;
    let host = inventory
        .enabled()
        .find(|host| !host.shell.ends_with("bash"))?;
    let (name, shell) = (function.name(), &host.shell);
    let text = format!("{name} is a function of bash; {shell}, which runs the jobs, may drop it");
    Some(Message::warning(text).hint("--shell bash"))
}

/// How bash exports a function.
fn function_variable(name: &str) -> String {
    format!("BASH_FUNC_{name}%%")
}

fn slots_text(slots: SlotCount) -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match slots.on(u32::try_from(cores).unwrap_or(1)) {
        1 => "1 slot".to_owned(),
        number => format!("{number} slots"),
    }
}

fn needs(arguments: &RunArguments, inventory: &Inventory) -> Result<Needs, Failure> {
    let cores = arguments.job.cores.get();
    // What a host's cores are is not known before it is reached; a number is.
    let known = |host: &HostSpec| match host.slots {
        SlotCount::Number(number) => Some(number),
        _ if host.name.is_local() => Some(
            host.slots.on(std::thread::available_parallelism()
                .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1))),
        ),
        _ => None,
    };
    let slots: Option<Vec<u32>> = inventory.enabled().map(known).collect();
    if let Some(largest) = slots.and_then(|slots| slots.into_iter().max())
        && largest < cores
    {
        let message = Message::error(format!(
            "no job can ever run: each needs {}, the largest host has {largest} slots",
            Amounts::cores(cores)
        ))
        .hint("--cores asks for that many; `slots` in hosts.toml says what COS may use");
        return Err(Failure::Said {
            message,
            exit_code: exit_code::NO_USABLE_HOST,
        });
    }
    Ok(Needs::cores(cores))
}

fn policy(arguments: &RunArguments) -> TaskPolicy {
    TaskPolicy {
        tries: arguments.limits.retries.get(),
        limit: limit(&arguments.limits.timeout),
        success: arguments.limits.success().codes().collect::<ExitCodes>(),
        prefetch: Prefetch::Allowed,
    }
}

fn limit(limit: &TimeLimit) -> TaskTimeLimit {
    match limit {
        TimeLimit::Never => TaskTimeLimit::Never,
        TimeLimit::After(duration) => TaskTimeLimit::After(*duration),
        TimeLimit::PercentOfMedian(percent) => TaskTimeLimit::OfMedian(*percent),
    }
}

fn config(arguments: &RunArguments, inventory: &Inventory) -> KernelConfig {
    let defaults = KernelConfig::default();
    let lease = inventory.enabled().map(|host| host.lease).max();
    KernelConfig {
        seed: fastrand::u64(..),
        slow: limit(&arguments.limits.slow),
        lease: lease.unwrap_or(defaults.lease),
        ..defaults
    }
}

/// The directory of this machine that jobs are to start in; `None` for scratch.
fn directory(arguments: &RunArguments) -> Result<Option<PathBuf>, Failure> {
    let current = || {
        std::env::current_dir().map_err(|error| {
            Failure::internal(Message::error("cannot tell the current directory").cause(error))
        })
    };
    match &arguments.job.workdir {
        WorkingDirectory::Current => current().map(Some),
        WorkingDirectory::Path(path) => Ok(Some(current()?.join(path))),
        WorkingDirectory::PerJob => Ok(None),
    }
}

/// The variables and exported shell functions of `--env`.
fn environment(arguments: &RunArguments) -> Result<Vec<(OsString, OsString)>, Failure> {
    let mut variables = Vec::new();
    for entry in &arguments.job.env {
        match entry {
            EnvironmentEntry::Set(name, value) => variables.push((name.into(), value.clone())),
            EnvironmentEntry::Inherit(name) => {
                let found: Vec<_> = [name.clone(), function_variable(name)]
                    .into_iter()
                    .filter_map(|name| Some((name.clone().into(), std::env::var_os(name)?)))
                    .collect();
                if found.is_empty() {
                    let message =
                        Message::error(format!("--env {name}: there is no such variable here"))
                            .hint(format!(
                                "`export {name}`, or give it a value: --env {name}=VALUE"
                            ));
                    return Err(Failure::usage(message));
                }
                variables.extend(found);
            }
        }
    }
    Ok(variables)
}

/// What an unreadable source means for its user.
pub(super) fn of_source(error: SourceError) -> Failure {
    let message = Message::of_error(&error);
    Failure::usage(match error.hint() {
        Some(hint) => message.hint(hint),
        None => message,
    })
}
