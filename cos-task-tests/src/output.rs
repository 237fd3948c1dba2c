//! Tasks that print what and where they should not.

use std::io::{self, Write};

use cos_core as cos;
use rustix::stdio::{dup2_stderr, dup2_stdout};

/// Prints a text, without an end of line, on both streams.
#[cos::task]
pub fn prints(out: String, err: String) {
    let _ = write!(io::stdout(), "{out}");
    let _ = write!(io::stderr(), "{err}");
}

/// Prints through the C library, which holds it back.
#[cos::task]
pub fn prints_in_c() {
    // SAFETY: the text ends with a zero byte, and the format has no holes.
    unsafe { libc::printf(c"from C".as_ptr()) };
}

/// Writes every byte there is on both streams, past all buffers.
#[cos::task]
pub fn prints_binary(times: usize) {
    let all: Vec<u8> = (0..=255).cycle().take(256 * times).collect();
    write_all(rustix::stdio::stdout(), &all);
    write_all(rustix::stdio::stderr(), &all);
}

/// Prints so many bytes.
#[cos::task]
pub fn floods(bytes: usize) -> usize {
    let piece = vec![b'x'; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let count = left.min(piece.len());
        write_all(rustix::stdio::stdout(), &piece[..count]);
        left -= count;
    }
    bytes
}

/// Puts both streams to another use.
#[cos::task]
pub fn redirects() {
    let null = std::fs::File::options()
        .write(true)
        .open("/dev/null")
        .expect("a null device");
    let _ = dup2_stdout(&null);
    let _ = dup2_stderr(&null);
}

/// Closes both streams.
#[cos::task]
pub fn closes() {
    // SAFETY: nothing else owns them while a task runs.
    unsafe {
        libc::close(1);
        libc::close(2);
    }
}

/// Prints, and then crashes with a text that is still in the pipe.
#[cos::task]
pub fn prints_and_aborts(text: String) {
    write_all(rustix::stdio::stdout(), text.as_bytes());
    std::process::abort();
}

fn write_all(to: std::os::fd::BorrowedFd<'_>, mut bytes: &[u8]) {
    while let Ok(count @ 1..) = rustix::io::write(to, bytes) {
        bytes = &bytes[count..];
    }
}
