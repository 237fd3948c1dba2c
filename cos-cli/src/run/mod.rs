//! `cos run`: from a command line to jobs on hosts and back.
//!
//! ```text
//!  plan      everything that can be wrong is found here, before any ssh
//!  jobs      rows of input become jobs, as slots free up
//!  mapping   `{m}`: paths of this machine, named as a job's host sees them
//!  conduct   the program that runs on the OS: results, --halt, signals
//!  sinks     what watches it: display, logs, output
//! ```

mod conduct;
mod failures;
mod jobs;
mod mapping;
mod plan;
mod readiness;
pub(crate) mod signals;
mod sinks;
mod staging;
mod tally;
mod terminal;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use cos_core::vm::VirtualMachine;
use cos_core::{Os, clock};
use cos_ssh_vm::{SshVm, SshVmError, StartDirectory};
use tokio::sync::watch;

use self::conduct::{AllHosts, Conduct, Verdict};
use self::mapping::MappedMachine;
use self::plan::Plan;
use self::readiness::ReadinessWatch;
use self::signals::{Demand, Urgency};
use self::sinks::{Records, Sinks, Standard};
use self::tally::Stop;
use crate::arguments::{OutputFormat, RunArguments, StatusLevel};
use crate::exit_code;
use crate::failure::Failure;
use crate::logging;
use crate::message::Message;
use crate::output::{JsonlSink, OutputOptions, OutputRouter, TextSink};
use crate::progress::{Detail, Display, Ending, HostFacts, RunFacts, Settings, Target};
use crate::record::{
    EventLog, JobLog, OUTPUT_LIMIT, OutputArchive, RecordError, RunDirectory, RunEnd, RunFile,
    state_directory,
};
use crate::worker;

/// From TERM to KILL for jobs that are ended.
const GRACE: Duration = Duration::from_secs(1);

/// How long the end of a run waits for hosts to confirm that nothing is left there.
const GOODBYE: Duration = Duration::from_secs(10);

/// Carries out `cos run`.
pub(crate) fn run(arguments: &RunArguments) -> Result<u8, Failure> {
    let plan = Plan::new(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime
        .map_err(|error| Failure::internal(Message::error("cannot start the run").cause(error)))?;
    let exit_code = runtime.block_on(execute(arguments, plan));
    // A thread that still reads standard input must not keep the process.
    runtime.shutdown_background();
    exit_code
}

async fn execute(arguments: &RunArguments, mut plan: Plan) -> Result<u8, Failure> {
    let is_empty = plan.input.is_empty_soon().await;
    if let Some(error) = plan.input.take_early_failure() {
        return Err(plan::of_source(error));
    }
    if is_empty {
        let message = Message::error("no jobs: the input is empty");
        return Err(Failure::Said {
            message,
            exit_code: exit_code::NO_JOBS,
        });
    }
    let demands = signals::listen().map_err(|error| {
        Failure::internal(Message::error("cannot listen to signals").cause(error))
    })?;
    let state = state_directory().ok_or_else(|| {
        let message = Message::error("there is no home directory for the record of this run");
        Failure::usage(message.hint("set HOME or XDG_STATE_HOME"))
    })?;
    let directory = RunDirectory::create(&state).map_err(of_record)?;
    let log = directory.log();
    let logs: Vec<&Path> = [Some(log.as_path()), arguments.messages.log_file.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    logging::write_to(&logs, arguments.messages.verbose).map_err(of_record)?;
    tracing::debug!(target: "cos::run", "run {}, release {}", directory.id(), env!("CARGO_PKG_VERSION"));
    let machine = machine(&plan, &directory)?;
    let hosts: Vec<String> = machine
        .hosts()
        .iter()
        .map(|host| host.name.clone())
        .collect();

    let mut run_file = RunFile::of_process(directory.id(), hosts.clone(), jiff::Timestamp::now());
    run_file.write(&directory.run_file()).map_err(of_record)?;
    let display = Rc::new(RefCell::new(display(arguments, &plan, &directory)));
    for note in plan.notes.drain(..) {
        display.borrow_mut().message(note);
    }
    let (standard, jsonl) = standard(arguments, &display)?;
    let records = records(arguments, &directory, &mut plan)?;
    let options = OutputOptions {
        mode: arguments.output.output,
        keep_order: arguments.output.keep_order,
        capture_limit: if records.results.is_some() {
            u64::MAX
        } else {
            OUTPUT_LIMIT
        },
    };
    let (stop, stopped) = watch::channel(None);
    let sinks = Rc::new(RefCell::new(Sinks::new(
        Rc::clone(&display),
        OutputRouter::new(standard, options),
        jsonl,
        records,
        plan.factory.records.clone(),
        hosts.clone(),
        Rc::new(stop),
    )));

    let watching = Rc::clone(&sinks);
    let machine = MappedMachine::new(
        machine,
        plan.factory.records.clone(),
        plan.factory.mapping.clone(),
    );
    let mut os = Os::new()
        .vm(machine)
        .config(plan.config.clone())
        .grace(GRACE)
        .shutdown_limit(GOODBYE)
        .observe(move |stamped| watching.borrow_mut().event(stamped));
    let mut conduct = Conduct::new(
        arguments,
        plan,
        Rc::clone(&display),
        demands.clone(),
        stopped.clone(),
    );
    if arguments.require_all_hosts {
        display.borrow_mut().require_all_hosts();
        let (mut watching, readiness) = ReadinessWatch::new(hosts.len());
        os = os.observe(move |stamped| watching.note(&stamped.event));
        conduct = conduct.after(AllHosts {
            readiness,
            names: hosts,
        });
    }
    let tally = conduct.tally();
    let total = conduct.total();
    // What events leave to be recorded is written before the display draws, which the program lets it do, and whenever
    // there are no more of them.
    let mut program = pin!(conduct.run());
    let program = poll_fn(|context| {
        sinks.borrow_mut().flush();
        program.as_mut().poll(context)
    });
    let mut running = pin!(os.run(program));
    let running = poll_fn(|context| {
        let polled = running.as_mut().poll(context);
        sinks.borrow_mut().flush();
        polled
    });
    let finished = tokio::select! {
        verdict = running => Some(verdict.map_err(|error| {
            Failure::internal(Message::error("cannot start the run").cause(error))
        })?),
        () = left(demands.clone()) => None,
    };
    let Some(verdict) = finished else {
        let signal = demands.borrow().first.unwrap_or(2);
        display.borrow_mut().hide();
        return Ok(exit_code::of_signal(signal));
    };

    sinks.borrow_mut().finish();
    let Verdict { stop, message } = verdict;
    // Trouble with the records may have come after the last job.
    let stop = stop.or(*stopped.borrow());
    let tally = *tally.borrow();
    if let Some(message) = message {
        display.borrow_mut().message(message);
    }
    let exit_code = tally.exit_code(stop);
    if stop != Some(Stop::OutputClosed) {
        let by = stop.map(stopper);
        let ending = by
            .as_deref()
            .map_or(Ending::Complete, |by| Ending::Stopped { by });
        let mut failures = sinks.borrow_mut().take_failures();
        if stop == Some(Stop::NoHost) {
            let untouched = total
                .get()
                .map_or(0, |total| total.saturating_sub(tally.total()));
            failures.extend(sinks.borrow_mut().jobs_not_run(tally.not_run + untouched));
        }
        let mut display = display.borrow_mut();
        display.describe_failures(failures);
        display.finish(clock::now(), ending);
    }
    run_file.end = Some(RunEnd {
        ended: jiff::Timestamp::now().to_string(),
        succeeded: tally.succeeded,
        failed: tally.failed,
        not_run: tally.not_run + tally.cancelled,
        exit: exit_code,
    });
    run_file.write(&directory.run_file()).map_err(of_record)?;
    Ok(exit_code)
}

/// Waits for the demand to leave at once.
async fn left(mut demands: watch::Receiver<Demand>) {
    if demands
        .wait_for(|demand| demand.urgency == Urgency::Leave)
        .await
        .is_err()
    {
        // Nobody listens to signals any more: there is nothing to wait for.
        std::future::pending::<()>().await;
    }
}

fn stopper(stop: Stop) -> String {
    match stop {
        Stop::Signal(1) => "a hang-up".to_owned(),
        Stop::Signal(2) => "Ctrl-C".to_owned(),
        Stop::Signal(15) => "SIGTERM".to_owned(),
        Stop::Signal(signal) => format!("signal {signal}"),
        Stop::Halt => "--halt".to_owned(),
        Stop::NoHost => "the lack of hosts".to_owned(),
        Stop::OutputClosed => "the reader of its output".to_owned(),
        Stop::Input => "its input".to_owned(),
        Stop::Internal => "an error of its own".to_owned(),
    }
}

fn machine(plan: &Plan, directory: &RunDirectory) -> Result<SshVm, Failure> {
    let start = match &plan.directory {
        Some(path) => StartDirectory::Shared(path.clone()),
        None => StartDirectory::Scratch,
    };
    let mut builder = SshVm::builder()
        .inventory(plan.inventory.clone())
        .run(directory.id().as_str())
        .own_worker(worker::embedded())
        .directory(start);
    if plan.factory.mapping.is_some() {
        builder = builder.prove_mirrors();
    }
    for (name, value) in &plan.environment {
        builder = builder.environment(name, value);
    }
    builder.start().map_err(|error| match error {
        SshVmError::NoHosts => Failure::Said {
            message: Message::of_error(&error),
            exit_code: exit_code::NO_USABLE_HOST,
        },
        other => Failure::usage(Message::of_error(&other)),
    })
}

fn display(arguments: &RunArguments, plan: &Plan, directory: &RunDirectory) -> Display {
    let detail = match (arguments.messages.quiet, arguments.messages.verbose) {
        (true, _) => Detail::Quiet,
        (false, 0) => Detail::Normal,
        (false, _) => Detail::Verbose,
    };
    let hosts = plan.inventory.enabled().map(|host| HostFacts {
        name: host.name.to_string(),
        slots: match host.slots {
            cos_ssh_vm::inventory::SlotCount::Number(number) => Some(number),
            _ => None,
        },
    });
    let facts = RunFacts {
        run: directory.id().to_string(),
        total: plan.input.total(),
        cores: arguments.job.cores.get(),
        hosts: hosts.collect(),
        directory: directory.path().display().to_string(),
    };
    let target = Target::stderr(arguments.messages.color);
    let mut settings = Settings::new(&arguments.progress, detail);
    if arguments.messages.verbose > 1 {
        settings.status_level = StatusLevel::All;
    }
    Display::new(settings, facts, target, clock::now())
}

type JsonlHandle = Option<Rc<RefCell<JsonlSink>>>;

fn standard(
    arguments: &RunArguments,
    display: &Rc<RefCell<Display>>,
) -> Result<(Standard, JsonlHandle), Failure> {
    let failed = |error: io::Error| Failure::stdout(&error);
    match arguments.output.format {
        OutputFormat::Jsonl => {
            let sink = Rc::new(RefCell::new(JsonlSink::of_process().map_err(failed)?));
            Ok((Standard::Jsonl(Rc::clone(&sink)), Some(sink)))
        }
        OutputFormat::Text => {
            let sink = TextSink::of_process().map_err(failed)?;
            let beside = io::stdout().is_terminal() || io::stderr().is_terminal();
            Ok(match beside {
                true => {
                    let sink = terminal::BesideDisplay::new(sink, Rc::clone(display));
                    (Standard::Text(Box::new(sink)), None)
                }
                false => (Standard::Text(Box::new(sink)), None),
            })
        }
    }
}

fn records(
    arguments: &RunArguments,
    directory: &RunDirectory,
    plan: &mut Plan,
) -> Result<Records, Failure> {
    let mut job_logs = vec![JobLog::create(&directory.job_log()).map_err(of_record)?];
    if let Some(path) = &arguments.output.joblog {
        job_logs.push(JobLog::open(path.as_os_str()).map_err(of_record)?);
    }
    if let Some(results) = &plan.results {
        results.create().map_err(of_record)?;
    }
    Ok(Records {
        job_logs,
        events: EventLog::create(&directory.event_log()).map_err(of_record)?,
        archive: OutputArchive::create(&directory.output()).map_err(of_record)?,
        results: plan.results.take(),
    })
}

fn of_record(error: RecordError) -> Failure {
    let message = Message::of_error(&error);
    Failure::internal(match error.hint() {
        Some(hint) => message.hint(hint),
        None => message,
    })
}
