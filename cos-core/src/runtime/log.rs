//! What the kernel has decided and learned, told to `tracing` (target `cos::kernel`): hosts at debug level, single tasks at
//! trace level. Text from hosts is written escaped.

use tracing::{Level, debug, enabled, trace};

use crate::event::{PauseCause, RunEvent};
use crate::ids::HostId;
use crate::vm::host::HostSpec;
use crate::wire::message::DirectoryReport;

/// Logs an event. Costs a comparison when nobody listens.
pub(super) fn log(event: &RunEvent, hosts: &[HostSpec]) {
    if enabled!(target: "cos::kernel", Level::DEBUG) {
        log_host(event, hosts);
    }
    if enabled!(target: "cos::kernel", Level::TRACE) {
        log_task(event, hosts);
    }
}

fn name(host: HostId, hosts: &[HostSpec]) -> &str {
    hosts.get(host.0 as usize).map_or("?", |host| &host.name)
}

fn directory(report: &DirectoryReport) -> &str {
    match report {
        DirectoryReport::Shared { .. } => "shared",
        DirectoryReport::Scratch { .. } => "scratch",
    }
}

fn log_host(event: &RunEvent, hosts: &[HostSpec]) {
    match event {
        RunEvent::HostStage { host, stage } => {
            debug!(target: "cos::kernel", "{}: stage {stage}", name(*host, hosts));
        }
        RunEvent::HostUp { host, info } => {
            let report = &info.report;
            debug!(
                target: "cos::kernel",
                cores = report.cores,
                slots = report.slots,
                system = ?report.system,
                release = ?info.release,
                uploaded = info.uploaded,
                round_trip = ?info.round_trip,
                directory = directory(&report.directory),
                "{}: up after {:?}", name(*host, hosts), info.start_time
            );
        }
        RunEvent::HostFailed {
            host,
            failure,
            retry_in,
        } => debug!(
            target: "cos::kernel",
            stage = %failure.stage,
            headline = ?failure.headline,
            cause = ?failure.cause,
            ?retry_in,
            "{}: failed", name(*host, hosts)
        ),
        RunEvent::HostLost {
            host,
            loss,
            requeued,
            retry_in,
        } => debug!(
            target: "cos::kernel",
            ?loss,
            requeued,
            ?retry_in,
            "{}: lost", name(*host, hosts)
        ),
        RunEvent::HostSilent {
            host,
            silent_for: Some(silence),
            lost_in,
        } => debug!(
            target: "cos::kernel",
            "{}: silent for {silence:?}, lost in {lost_in:?}", name(*host, hosts)
        ),
        RunEvent::HostSilent { host, .. } => {
            debug!(target: "cos::kernel", "{}: heard again", name(*host, hosts));
        }
        RunEvent::HostLeftOut { host, exit, moved } => debug!(
            target: "cos::kernel",
            moved,
            "{}: lacks a command, {exit}", name(*host, hosts)
        ),
        RunEvent::HostPaused { host, cause } => log_pause(name(*host, hosts), *cause),
        RunEvent::HostResumed { host } => {
            debug!(target: "cos::kernel", "{}: takes tasks again", name(*host, hosts));
        }
        RunEvent::HostNote { host, note } => {
            debug!(target: "cos::kernel", ?note, "{}: note", name(*host, hosts));
        }
        RunEvent::HostClosed { host, left } => {
            debug!(target: "cos::kernel", ?left, "{}: closed", name(*host, hosts));
        }
        // Attempts that end without settling their tasks are few, and what one looks for on a bad day.
        RunEvent::TaskAgain {
            attempt,
            index,
            host,
            cause,
        } => debug!(
            target: "cos::kernel",
            %attempt,
            ?cause,
            "{}: job {} again", name(*host, hosts), index + 1
        ),
        RunEvent::LateDropped { total } => {
            debug!(target: "cos::kernel", total, "a late message was dropped");
        }
        RunEvent::TaskStarted { .. }
        | RunEvent::TaskOutput { .. }
        | RunEvent::TaskSlow { .. }
        | RunEvent::TaskEnded { .. } => {}
    }
}

fn log_pause(host: &str, cause: PauseCause) {
    match cause {
        PauseCause::FailsFast { failures } => {
            debug!(target: "cos::kernel", "{host}: paused, {failures} fast failures in a row");
        }
        PauseCause::Load {
            others_per_core,
            limit,
        } => debug!(
            target: "cos::kernel",
            "{host}: paused, others' load {others_per_core:.2} per core, limit {limit}"
        ),
    }
}

fn log_task(event: &RunEvent, hosts: &[HostSpec]) {
    match event {
        RunEvent::TaskStarted {
            attempt,
            index,
            host,
            slot,
            try_number,
            ..
        } => trace!(
            target: "cos::kernel",
            %attempt,
            %slot,
            try_number,
            "{}: job {} runs", name(*host, hosts), index + 1
        ),
        RunEvent::TaskOutput {
            attempt,
            index,
            stream,
            bytes,
        } => trace!(
            target: "cos::kernel",
            %attempt,
            ?stream,
            bytes = bytes.len(),
            "job {} wrote", index + 1
        ),
        RunEvent::TaskSlow {
            index,
            host,
            threshold,
            ..
        } => trace!(
            target: "cos::kernel",
            "{}: job {} takes longer than {threshold:?}", name(*host, hosts), index + 1
        ),
        RunEvent::TaskEnded {
            index,
            host,
            tries,
            outcome,
            ..
        } => trace!(
            target: "cos::kernel",
            ?outcome,
            tries,
            host = host.map_or("", |host| name(host, hosts)),
            "job {} ended", index + 1
        ),
        _ => {}
    }
}
