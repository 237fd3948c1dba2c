//! Reads a bridge's streams on threads of their own.

use std::io::Read;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cos_core::wire::frame::{Frame, FrameReader};
use cos_core::wire::message::{Envelope, FromAgent};
use cos_core::wire::preamble::{FRAMES, Preamble};

/// The word before the first frame.
pub(super) const NONCE: &str = "0123456789abcdef";

/// What comes from an agent.
pub(super) enum Incoming {
    Message(Box<Envelope<FromAgent>>, Bytes),
    End,
}

/// Reads frames behind the preamble. Nothing new is read while `reading` is locked.
pub(super) fn read_frames(
    mut stdout: impl Read + Send + 'static,
    reading: Arc<Mutex<()>>,
) -> Receiver<Incoming> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut piece = vec![0; 64 * 1024];
        let mut preamble = Some(Preamble::new(NONCE));
        let mut frames = FrameReader::new();
        loop {
            drop(reading.lock().unwrap());
            let count = match stdout.read(&mut piece) {
                Ok(0) | Err(_) => break,
                Ok(count) => count,
            };
            if let Some(mut opening) = preamble.take() {
                opening.feed(&piece[..count]);
                match opening.next_line().unwrap().as_deref() {
                    Some(FRAMES) => frames.feed(&opening.into_rest()),
                    Some(other) => panic!("{other}"),
                    None => preamble = Some(opening),
                }
            } else {
                frames.feed(&piece[..count]);
            }
            while let Some(Frame { header, payload }) = frames.next_frame().unwrap() {
                if sender
                    .send(Incoming::Message(Box::new(header), payload))
                    .is_err()
                {
                    return;
                }
            }
        }
        let _ = sender.send(Incoming::End);
    });
    receiver
}

/// Reads text until its end.
pub(super) fn read_text(mut stderr: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut piece) {
            let text = String::from_utf8_lossy(&piece[..count]).into_owned();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    receiver
}
