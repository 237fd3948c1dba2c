//! Tasks that print what and where they should not.

use std::io::{self, Write};

use rustix::stdio::{dup2_stderr, dup2_stdout};

task! {
    /// Prints a text, without an end of line, on both streams.
    prints(out: String, err: String) -> () {
        let _ = write!(io::stdout(), "{out}");
        let _ = write!(io::stderr(), "{err}");
    }
}

task! {
    /// Prints through the C library, which holds it back.
    prints_in_c() -> () {
        // SAFETY: the text ends with a zero byte, and the format has no holes.
        unsafe { libc::printf(c"from C".as_ptr()) };
    }
}

task! {
    /// Writes every byte there is on both streams, past all buffers.
    prints_binary(times: usize) -> () {
        let all: Vec<u8> = (0..=255).cycle().take(256 * times).collect();
        write_all(rustix::stdio::stdout(), &all);
        write_all(rustix::stdio::stderr(), &all);
    }
}

task! {
    /// Prints so many bytes.
    floods(bytes: usize) -> usize {
        let piece = vec![b'x'; 64 * 1024];
        let mut left = bytes;
        while left > 0 {
            let count = left.min(piece.len());
            write_all(rustix::stdio::stdout(), &piece[..count]);
            left -= count;
        }
        bytes
    }
}

task! {
    /// Puts both streams to another use.
    redirects() -> () {
        let null = std::fs::File::options().write(true).open("/dev/null").expect("a null device");
        let _ = dup2_stdout(&null);
        let _ = dup2_stderr(&null);
    }
}

task! {
    /// Closes both streams.
    closes() -> () {
        // SAFETY: nothing else owns them while a task runs.
        unsafe {
            libc::close(1);
            libc::close(2);
        }
    }
}

task! {
    /// Prints, and then crashes with a text that is still in the pipe.
    prints_and_aborts(text: String) -> () {
        write_all(rustix::stdio::stdout(), text.as_bytes());
        std::process::abort();
    }
}

fn write_all(to: std::os::fd::BorrowedFd<'_>, mut bytes: &[u8]) {
    while let Ok(count @ 1..) = rustix::io::write(to, bytes) {
        bytes = &bytes[count..];
    }
}
