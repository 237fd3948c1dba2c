//! Tasks that do not end as a task should.

use std::io;

use cos_core as cos;
use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Panics.
#[cos::task]
pub fn panics(message: String) {
    panic!("{message}")
}

/// Fails.
#[cos::task]
pub fn fails(message: String) -> std::io::Result<()> {
    Err(io::Error::other(message))
}

/// Aborts.
#[cos::task]
pub fn aborts() {
    std::process::abort()
}

/// Reads where nothing is.
#[cos::task]
pub fn segfaults() -> u8 {
    let nowhere = std::ptr::without_provenance::<u8>(8);
    // SAFETY: none; the task is meant to crash.
    unsafe { nowhere.read_volatile() }
}

/// Exits.
#[cos::task]
pub fn exits(code: i32) {
    std::process::exit(code)
}

/// Is killed as by somebody else.
#[cos::task]
pub fn is_killed() {
    let _ = kill_process(getpid(), Signal::KILL);
}

/// Runs out of memory: of what this process may have, so that no other has to suffer.
#[cos::task]
pub fn runs_out_of_memory() -> usize {
    const LIMIT: u64 = 512 << 20;
    let limit = Rlimit {
        current: Some(LIMIT),
        maximum: Some(LIMIT),
    };
    setrlimit(Resource::As, limit).expect("a limit may be lowered");
    let mut held = Vec::new();
    loop {
        held.push(vec![1_u8; 1 << 20]);
        if held.len() > 10_000 {
            return held.len();
        }
    }
}

/// Overflows the stack.
#[cos::task]
pub fn overflows_the_stack(depth: u64) -> u64 {
    deeper(depth)
}

fn deeper(depth: u64) -> u64 {
    let filled = std::hint::black_box([depth; 512]);
    match depth {
        u64::MAX => 0,
        depth => deeper(depth + 1) + filled[(depth % 512) as usize],
    }
}

/// Stops its whole process, as a debugger would.
#[cos::task]
pub fn stops_its_process() {
    let _ = kill_process(getpid(), Signal::STOP);
}

/// Gives something that no one can read.
#[cos::task]
pub fn gives_what_does_not_decode() -> OneWay {
    OneWay
}

/// Gives something that cannot be written.
#[cos::task]
pub fn gives_what_does_not_encode() -> NoWay {
    NoWay
}

/// Is written as a short text and read as a number of eight bytes.
#[derive(Debug)]
pub struct OneWay;

impl Serialize for OneWay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("no")
    }
}

impl<'de> Deserialize<'de> for OneWay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <[f64; 4]>::deserialize(deserializer).map(|_| Self)
    }
}

/// Cannot be written.
#[derive(Debug, Deserialize)]
pub struct NoWay;

impl Serialize for NoWay {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it has no form"))
    }
}
