//! System calls for which there is no safe form: reaping children together with what they consumed, and keeping
//! inherited descriptors from being inherited further. With `vfork`, the only unsafe code of the worker.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use crate::job::{Exit, Usage};

/// A child that has ended and was reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) pid: i32,
    pub(super) exit: Exit,
    pub(super) usage: Usage,
}

/// What reaping found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaped {
    /// This child has ended.
    Child(Ended),
    /// There are children, and none has ended since.
    NoneEnded,
    /// There is no child at all.
    NoChildren,
}

/// Reaps one child that has ended, without waiting for one.
fn reap() -> Reaped {
    wait4(-1, libc::WNOHANG)
}

/// Whether a process has children, living or not yet reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Children {
    Some,
    None,
}

/// Reaps every child that has ended, and tells whether others remain.
pub(super) fn reap_all(take: &mut dyn FnMut(Ended)) -> Children {
    loop {
        match reap() {
            Reaped::Child(ended) => take(ended),
            Reaped::NoneEnded => return Children::Some,
            Reaped::NoChildren => return Children::None,
        }
    }
}

/// Waits until a child ends.
pub(super) fn reap_blocking() -> Reaped {
    wait4(-1, 0)
}

/// Marks every descriptor but the standard ones close-on-exec.
///
/// What a login left open would otherwise be held by a command, and by whatever that leaves behind.
pub(super) fn close_inherited_on_exec() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    for number in numbers.filter(|number: &i32| *number > 2) {
        // SAFETY: no memory is touched. Descriptors stay open and whoever owns one keeps it; those of this program are
        // close-on-exec in any case.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// What this process has consumed so far, and its children that were reaped.
pub(super) fn usage_so_far() -> Usage {
    let [own, children] = [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN].map(|whose| {
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the pointer is valid for writes for the time of the call; no other memory is touched.
        unsafe { libc::getrusage(whose, usage.as_mut_ptr()) };
        // SAFETY: every bit pattern is a `rusage`, and the memory was zeroed before the call.
        usage_of(&unsafe { usage.assume_init() })
    });
    Usage {
        user: own.user + children.user,
        system: own.system + children.system,
        max_resident_kib: own.max_resident_kib.max(children.max_resident_kib),
    }
}

/// Writes out what C code of this process has printed and its library still holds.
pub(super) fn flush_c_streams() {
    // SAFETY: a null pointer asks for all output streams; the library locks each by itself.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

fn wait4(pid: i32, options: i32) -> Reaped {
    loop {
        let mut status = 0;
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: both pointers are valid for writes for the time of the call; no other memory is touched.
        let result = unsafe { libc::wait4(pid, &mut status, options, usage.as_mut_ptr()) };
        match result {
            0 => return Reaped::NoneEnded,
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return Reaped::NoChildren,
            pid => {
                // SAFETY: every bit pattern is a `rusage`, and the memory was zeroed before the call.
                let usage = unsafe { usage.assume_init() };
                let usage = usage_of(&usage);
                let exit = exit_of(status);
                return Reaped::Child(Ended { pid, exit, usage });
            }
        }
    }
}

/// Without `WUNTRACED` and `WCONTINUED` a status is an exit or a signal.
fn exit_of(status: i32) -> Exit {
    match libc::WIFSIGNALED(status) {
        true => Exit::Signal(libc::WTERMSIG(status)),
        false => Exit::Code(libc::WEXITSTATUS(status)),
    }
}

fn usage_of(usage: &libc::rusage) -> Usage {
    Usage {
        user: duration_of(usage.ru_utime),
        system: duration_of(usage.ru_stime),
        max_resident_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    }
}

fn duration_of(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}
