//! A program with two tasks of one name: it does not start, and says where they are.

use std::process::Command;

use cos_core as cos;

fn first() -> cos::Job<u8> {
    #[cos::task]
    fn inner() -> u8 {
        1
    }
    inner::job()
}

fn second() -> cos::Job<u8> {
    #[cos::task]
    fn inner() -> u8 {
        2
    }
    inner::job()
}

fn main() {
    if std::env::var_os("COS_CASE").is_some() {
        cos::worker::init();
        return;
    }
    let _ = (first(), second());
    let error = cos::registry::check().expect_err("two tasks of one name");
    assert_eq!(error.name, "duplicates::inner");
    let output = Command::new("/proc/self/exe")
        .env("COS_CASE", "starts")
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: two tasks are called `duplicates::inner`: at cos-core/tests/duplicates.rs:8 and at \
         cos-core/tests/duplicates.rs:16; rename one\n"
    );
}
