//! The bridge: starts a guardian and its agent, hands them the channel, and keeps the session open while they live.
//!
//! It is never in the data path: the agent reads and writes the session's own descriptors.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::calls::close_inherited_on_exec;
use super::descriptors::send_pair;
use super::place::Place;
use super::role::{self, complain, name_process};

/// How long guardian and agent may take to end when the channel is gone (5 s): what they kill may take its time.
const END_LIMIT: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

/// How many bytes of causes are passed on (64 KiB).
const WORDS_LIMIT: u64 = 64 * 1024;

/// Runs a bridge; the exit status is 0 when the agent ended as it should.
pub(super) fn run(nonce: &str, run: &str, host: &str) -> i32 {
    name_process(c"cos-bridge");
    close_inherited_on_exec();
    let place = match Place::create(run, host) {
        Ok(place) => place,
        Err(error) => {
            complain(&format!("no private directory: {error}"));
            return 1;
        }
    };
    match start(&place, nonce) {
        Ok((guardian, words)) => wait(guardian, words),
        Err(error) => {
            complain(&format!("the agent could not be started: {error}"));
            // What could not be started holds nothing there.
            let _ = place.remove();
            1
        }
    }
}

/// Starts the guardian and gives it the channel. The result is its process and the pipe on which it tells causes.
fn start(place: &Place, nonce: &str) -> io::Result<(Child, io::PipeReader)> {
    let listener = place.listen()?;
    let socket = place.connect()?;
    let (words, writer) = io::pipe()?;
    let guardian = role::command("guardian", [place.path()])
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::from(writer.try_clone()?))
        .stderr(Stdio::from(writer))
        .current_dir("/")
        .spawn()?;
    send_pair(
        &socket,
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        nonce,
    )?;
    Ok((guardian, words))
}

/// Waits until the guardian has ended, or for a while after the channel has.
fn wait(mut guardian: Child, words: io::PipeReader) -> i32 {
    let mut words = words.take(WORDS_LIMIT);
    let mut patience: Option<&Timespec> = None;
    loop {
        match ready(&words, patience) {
            Ready::Words => {
                let mut piece = [0; 4096];
                match words.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    // A session that is gone cannot be told.
                    Ok(count) => drop(io::stderr().write_all(&piece[..count])),
                }
            }
            Ready::ChannelGone => patience = Some(&END_LIMIT),
            Ready::Nothing => {
                complain("the agent takes long to end; it is not waited for");
                return 1;
            }
        }
    }
    match guardian.wait() {
        Ok(status) if status.success() => 0,
        Ok(status) => {
            if status.code().is_none() {
                complain(&format!("agent died: its guardian ended by {status}"));
            }
            1
        }
        Err(_) => 1,
    }
}

enum Ready {
    Words,
    ChannelGone,
    Nothing,
}

/// Waits for words of the guardian and, as long as there is no limit yet, for the end of the channel.
fn ready(words: &io::Take<io::PipeReader>, limit: Option<&Timespec>) -> Ready {
    let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    let mut polled = vec![PollFd::from_borrowed_fd(
        words.get_ref().as_fd(),
        PollFlags::IN,
    )];
    if limit.is_none() {
        // Ends are told without being asked for.
        polled.push(PollFd::from_borrowed_fd(stdin, PollFlags::empty()));
        polled.push(PollFd::from_borrowed_fd(stdout, PollFlags::empty()));
    }
    match poll(&mut polled, limit) {
        Ok(0) => Ready::Nothing,
        Ok(_) if !polled[0].revents().is_empty() => Ready::Words,
        Ok(_) => Ready::ChannelGone,
        Err(rustix::io::Errno::INTR) => ready(words, limit),
        Err(_) => Ready::Words,
    }
}
