//! Descriptors that pass from process to process: by inheritance as standard input, or over a socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// Takes the descriptor that the parent handed over as standard input, and puts `/dev/null` in its place.
///
/// The result is close-on-exec, so that it ends up in no command; those get `/dev/null`.
///
/// # Errors
/// When there is no standard input or no `/dev/null`.
pub(super) fn take_standard_input() -> io::Result<OwnedFd> {
    let taken = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(taken)
}

/// The longest text that travels beside descriptors.
const TEXT_LIMIT: usize = 512;

/// Sends two descriptors and a text over a socket.
///
/// # Errors
/// As `sendmsg`; [`io::ErrorKind::InvalidInput`] for a text that is empty or too long.
pub(super) fn send_pair(
    socket: &UnixStream,
    first: impl AsFd,
    second: impl AsFd,
    text: &str,
) -> io::Result<()> {
    if text.is_empty() || text.len() > TEXT_LIMIT {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let descriptors = [first.as_fd(), second.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let text = [IoSlice::new(text.as_bytes())];
    rustix::net::sendmsg(socket, &text, &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives what [`send_pair`] sent.
///
/// # Errors
/// As `recvmsg`; [`io::ErrorKind::InvalidData`] when something else was sent.
pub(super) fn receive_pair(socket: &UnixStream) -> io::Result<(OwnedFd, OwnedFd, String)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut text = [0; TEXT_LIMIT];
    let received = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut text)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut descriptors = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten();
    let (Some(first), Some(second), None, false) = (
        descriptors.next(),
        descriptors.next(),
        descriptors.next(),
        received.flags.contains(ReturnFlags::CTRUNC),
    ) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let text = String::from_utf8_lossy(&text[..received.bytes]).into_owned();
    Ok((first, second, text))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_pair_of_pipes_passes_a_socket() {
        let (left, right) = UnixStream::pair().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        send_pair(&left, &reader, &writer, "n0nce").unwrap();
        drop((reader, writer));
        let (reader, writer, text) = receive_pair(&right).unwrap();
        assert_eq!(text, "n0nce");
        std::fs::File::from(writer).write_all(b"through").unwrap();
        let mut got = String::new();
        std::fs::File::from(reader)
            .read_to_string(&mut got)
            .unwrap();
        assert_eq!(got, "through");
    }

    #[test]
    fn a_text_without_descriptors_is_refused() {
        let (mut left, right) = UnixStream::pair().unwrap();
        left.write_all(b"hello").unwrap();
        let error = receive_pair(&right).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
