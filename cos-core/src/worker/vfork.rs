//! Starts a program in a child that runs in this process's memory until it executes. Unsafe code, as in `calls`.
//!
//! `posix_spawn` does the same, and sets every signal there is to its default first: some 130 system calls for each
//! command, an eighth of what starting a shell costs. A slot knows the few that it has changed.

use std::cell::UnsafeCell;
use std::convert::Infallible;
use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

/// How much stack the child has (64 KiB). It makes system calls, from a handful of frames.
const STACK: usize = 64 * 1024;

/// The exit status of a child that could execute nothing. Nobody sees it: the error is told instead.
const NOT_EXECUTED: c_int = 127;

/// What a child executes, and with what.
pub(super) struct Image<'a> {
    /// Where the program may lie; the first path that can be executed is.
    pub(super) programs: &'a [CString],
    /// Its arguments, from its own name on.
    pub(super) arguments: &'a [CString],
    /// Its environment, `NAME=value`.
    pub(super) environment: &'a [&'a CString],
    /// Its standard output.
    pub(super) stdout: BorrowedFd<'a>,
    /// Its standard error.
    pub(super) stderr: BorrowedFd<'a>,
}

/// Starts programs, one after the other.
pub(super) struct Spawner {
    /// The stack of the child, which is needed only while this process waits.
    stack: Box<[MaybeUninit<u8>]>,
    /// Signals that this process handles, or that it ignores since its parent did.
    changed: Vec<c_int>,
}

impl Spawner {
    /// `handled` are the signals that this process handles, now or later; a program ignores none and handles none.
    pub(super) fn new(handled: &[i32]) -> Self {
        // Rust's runtime ignores SIGPIPE, and a shell that starts something in the background SIGQUIT.
        let changed = (1..=libc::SIGRTMAX())
            .filter(|signal| handled.contains(signal) || is_changed(*signal))
            .collect();
        Self {
            stack: Box::new_uninit_slice(STACK),
            changed,
        }
    }

    /// Starts a program as the leader of a process group of its own, and gives its process number.
    ///
    /// It has this process's standard input and directory; no signal is ignored or blocked.
    ///
    /// # Errors
    /// Those of `clone` and of `execve`, for which this process has no child then.
    pub(super) fn spawn(&mut self, image: &Image<'_>) -> io::Result<i32> {
        let programs = pointers(image.programs.iter());
        let arguments = pointers(image.arguments.iter());
        let environment = pointers(image.environment.iter().copied());
        let child = Child {
            programs: &programs,
            arguments: &arguments,
            environment: &environment,
            changed: &self.changed,
            stdout: image.stdout.as_raw_fd(),
            stderr: image.stderr.as_raw_fd(),
            error: UnsafeCell::new(0),
        };
        let top = self.stack.as_mut_ptr_range().end;
        // The ABIs want 16 bytes or less.
        let top = top.wrapping_sub(top.addr() % 64).cast::<c_void>();
        let argument = ptr::from_ref(&child).cast_mut().cast::<c_void>();
        let blocked = block_signals();
        // SAFETY: the child has a stack of its own. It runs `begin` alone, which allocates nothing, takes no lock and
        // does not unwind; no handler of this process runs in it, since signals are blocked until it has none. This
        // thread stands still meanwhile (CLONE_VFORK), so what the child uses lives and is used by nobody else.
        let pid = unsafe {
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            libc::clone(begin, top, flags, argument)
        };
        let cloned = match pid {
            -1 => Err(io::Error::last_os_error()),
            pid => Ok(pid),
        };
        set_mask(&blocked);
        let pid = cloned?;
        match child.error.into_inner() {
            0 => Ok(pid),
            error => {
                bury(pid);
                Err(io::Error::from_raw_os_error(error))
            }
        }
    }
}

/// An array as `execve` wants it.
fn pointers<'a>(strings: impl Iterator<Item = &'a CString>) -> Vec<*const c_char> {
    let mut pointers: Vec<_> = strings.map(|string| string.as_ptr()).collect();
    pointers.push(ptr::null());
    pointers
}

/// What the child needs. It changes nothing of it but `error`.
struct Child<'a> {
    programs: &'a [*const c_char],
    arguments: &'a [*const c_char],
    environment: &'a [*const c_char],
    changed: &'a [c_int],
    stdout: RawFd,
    stderr: RawFd,
    /// Why nothing was executed.
    error: UnsafeCell<c_int>,
}

/// The child from its beginning: what it executes takes its place, or it ends.
extern "C" fn begin(argument: *mut c_void) -> c_int {
    // SAFETY: `spawn` passes a `Child` that lives while it waits for this child.
    let child = unsafe { &*argument.cast::<Child<'_>>() };
    let Err(error) = prepare(child).and_then(|()| execute(child));
    // SAFETY: `spawn` stands still, and reads this only afterwards.
    unsafe { *child.error.get() = error };
    // SAFETY: it ends this process alone, and runs nothing before.
    unsafe { libc::_exit(NOT_EXECUTED) }
}

/// Makes this child what its program expects to be.
fn prepare(child: &Child<'_>) -> Result<(), c_int> {
    // SAFETY: no memory is touched but the local action, which is zeroed: no flags, an empty mask.
    unsafe {
        check(libc::setpgid(0, 0))?;
        check(libc::dup2(child.stdout, libc::STDOUT_FILENO))?;
        check(libc::dup2(child.stderr, libc::STDERR_FILENO))?;
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        for signal in child.changed {
            check(libc::sigaction(*signal, &action, ptr::null_mut()))?;
        }
    }
    set_mask(&no_signals());
    Ok(())
}

/// Executes the first of the programs that can be. As execvp(3), it looks further where there is none, or one that may not
/// be executed, and tells of the latter if it finds no other.
fn execute(child: &Child<'_>) -> Result<Infallible, c_int> {
    let mut denied = None;
    for program in child.programs.iter().take_while(|path| !path.is_null()) {
        let (arguments, environment) = (child.arguments.as_ptr(), child.environment.as_ptr());
        // SAFETY: strings end with NUL and arrays with a null pointer; all of them live in `spawn`'s frame.
        let Err(error) = check(unsafe { libc::execve(*program, arguments, environment) }) else {
            continue;
        };
        match error {
            // The last three are of directories on servers that are gone.
            libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
            libc::EACCES => denied = Some(error),
            error => return Err(error),
        }
    }
    Err(denied.unwrap_or(libc::ENOENT))
}

/// The error of a system call that returned `-1`.
fn check(result: c_int) -> Result<(), c_int> {
    match result {
        -1 => Err(io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO)),
        _ => Ok(()),
    }
}

/// Whether a signal does something else than at first, by this process or by one that it descends from.
fn is_changed(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is changed, and the action is valid for writes. It stays zeroed, which is the default, where there
    // is no such signal, as with those that a C library keeps to itself.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
        action.assume_init().sa_sigaction != libc::SIG_DFL
    }
}

/// Reaps a child that has ended.
fn bury(pid: i32) {
    // SAFETY: no memory is touched.
    while unsafe { libc::waitpid(pid, ptr::null_mut(), 0) } == -1
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

fn no_signals() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the call initialises the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

/// Blocks all signals, and gives those that were blocked before.
fn block_signals() -> libc::sigset_t {
    let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: the first call initialises `all`, the second `before`: it fails for wrong arguments only.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    }
}

fn set_mask(mask: &libc::sigset_t) {
    // SAFETY: the mask is initialised, and nothing else is touched.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    fn c(text: &str) -> CString {
        CString::new(text).unwrap()
    }

    /// Runs a program to its end and gives its exit status and what it wrote.
    fn run(programs: &[&str], arguments: &[&str]) -> io::Result<(i32, String)> {
        let programs: Vec<CString> = programs.iter().map(|path| c(path)).collect();
        let arguments: Vec<CString> = arguments.iter().map(|word| c(word)).collect();
        let variable = c("COLOUR=green");
        let (mut reader, writer) = io::pipe()?;
        let pid = Spawner::new(&[libc::SIGTERM]).spawn(&Image {
            programs: &programs,
            arguments: &arguments,
            environment: &[&variable],
            stdout: writer.as_fd(),
            stderr: writer.as_fd(),
        })?;
        drop(writer);
        let mut output = String::new();
        reader.read_to_string(&mut output)?;
        let mut status = 0;
        // SAFETY: the status is valid for writes, and the child is this test's own.
        unsafe { libc::waitpid(pid, &mut status, 0) };
        Ok((libc::WEXITSTATUS(status), output))
    }

    #[test]
    fn a_program_has_what_it_was_given_and_leads_its_group() {
        let script = "echo $0 $1 $COLOUR; echo to stderr >&2; \
                      read -r pid name state parent group rest </proc/$$/stat; [ $group = $$ ] && exit 42";
        let (status, output) = run(&["/bin/sh"], &["sh", "-c", script, "name", "one"]).unwrap();
        assert_eq!(output, "name one green\nto stderr\n");
        assert_eq!(status, 42);
    }

    #[test]
    fn what_an_ancestor_ignores_is_not_handed_on() {
        let ignore = |signal| {
            // SAFETY: no handler runs; no test of this process has anything to do with this signal.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        };
        ignore(libc::SIGURG);
        let (_, output) = run(&["/bin/grep"], &["grep", "SigIgn", "/proc/self/status"]).unwrap();
        let mask = output.split_ascii_whitespace().next_back().unwrap();
        let mask = u64::from_str_radix(mask, 16).unwrap();
        assert_eq!(mask >> (libc::SIGURG - 1) & 1, 0, "{output}");
        assert_eq!(mask >> (libc::SIGPIPE - 1) & 1, 0, "{output}");
    }

    #[test]
    fn programs_are_looked_for_as_execvp_does() {
        let (status, _) =
            run(&["/nowhere/sh", "/etc", "/bin/sh"], &["sh", "-c", "exit 3"]).unwrap();
        assert_eq!(status, 3);
        let error = |programs: &[&str]| run(programs, &["x"]).unwrap_err().raw_os_error();
        assert_eq!(error(&["/nowhere/x", "/etc/passwd/x"]), Some(libc::ENOENT));
        assert_eq!(error(&["/etc", "/nowhere/x"]), Some(libc::EACCES));
        assert_eq!(error(&[]), Some(libc::ENOENT));
    }

    #[test]
    fn a_program_that_is_none_is_said_to_be_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("text");
        std::fs::write(&path, "no program\n").unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, executable).unwrap();
        let error = run(&[path.to_str().unwrap(), "/bin/sh"], &["text"]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOEXEC));
    }
}
