//! The router as a whole.

use super::*;
use std::cell::RefCell;
use std::rc::Rc;

/// Records what comes out, and can be closed.
#[derive(Clone, Default)]
struct Recorder(Rc<RefCell<Recorded>>);

#[derive(Default)]
struct Recorded {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    closed: bool,
}

impl OutputSink for Recorder {
    fn write(&mut self, _sequence: u64, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let mut recorded = self.0.borrow_mut();
        if recorded.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match stream {
            Stream::Stdout => recorded.stdout.extend_from_slice(bytes),
            Stream::Stderr => recorded.stderr.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Recorder {
    fn stdout(&self) -> String {
        String::from_utf8(self.0.borrow().stdout.clone()).expect("text")
    }

    fn stderr(&self) -> String {
        String::from_utf8(self.0.borrow().stderr.clone()).expect("text")
    }
}

fn router(mode: OutputMode, keep_order: bool) -> (OutputRouter<Recorder>, Recorder) {
    let recorder = Recorder::default();
    let options = OutputOptions {
        mode,
        keep_order,
        capture_limit: 1000,
    };
    (OutputRouter::new(recorder.clone(), options), recorder)
}

fn out(router: &mut OutputRouter<Recorder>, sequence: u64, text: &str) {
    router
        .write(sequence, Stream::Stdout, text.as_bytes())
        .expect("written");
}

fn err(router: &mut OutputRouter<Recorder>, sequence: u64, text: &str) {
    router
        .write(sequence, Stream::Stderr, text.as_bytes())
        .expect("written");
}

#[test]
fn grouped_output_comes_whole_when_its_job_ends() {
    let (mut router, recorder) = router(OutputMode::Group, false);
    for sequence in 1..=3 {
        router.start(sequence, None);
    }
    out(&mut router, 1, "one ");
    out(&mut router, 2, "two ");
    err(&mut router, 2, "warning of two\n");
    out(&mut router, 1, "more\n");
    out(&mut router, 2, "more\n");
    assert_eq!(recorder.stdout(), "");
    router.end(2).expect("ended");
    assert_eq!(
        (recorder.stdout(), recorder.stderr()),
        ("two more\n".into(), "warning of two\n".into())
    );
    router.end(1).expect("ended");
    router.end(3).expect("ended");
    assert_eq!(recorder.stdout(), "two more\none more\n");
    router.finish().expect("finished");
    assert_eq!(recorder.stdout(), "two more\none more\n");
}

#[test]
fn kept_order_is_that_of_the_input() {
    let (mut router, recorder) = router(OutputMode::Group, true);
    for sequence in [2, 4, 1] {
        router.start(sequence, None);
        out(&mut router, sequence, &format!("{sequence}\n"));
    }
    router.end(2).expect("ended");
    router.end(4).expect("ended");
    assert_eq!(recorder.stdout(), "");
    router.end(1).expect("ended");
    assert_eq!(recorder.stdout(), "1\n2\n");
    // Job 3 never ran and has no output: its end alone lets the next one out.
    router.end(3).expect("ended");
    assert_eq!(recorder.stdout(), "1\n2\n4\n");
}

#[test]
fn what_waits_for_a_job_that_never_came_comes_out_at_the_end() {
    let (mut router, recorder) = router(OutputMode::Group, true);
    for sequence in [5, 3] {
        out(&mut router, sequence, &format!("{sequence}\n"));
        router.end(sequence).expect("ended");
    }
    router.finish().expect("finished");
    assert_eq!(recorder.stdout(), "3\n5\n");
}

#[test]
fn thousands_of_jobs_behind_a_slow_one_come_out_in_order_with_their_tags() {
    for mode in [OutputMode::Group, OutputMode::Line] {
        let (mut router, recorder) = router(mode, true);
        router.start(1, None);
        for sequence in 2..=5000 {
            router.start(sequence, Some(format!("job {sequence}").as_bytes()));
            out(&mut router, sequence, "a\nb\n");
            router.end(sequence).expect("ended");
        }
        let filed = router
            .jobs
            .values()
            .filter(|job| matches!(job, Job::Filed { .. }))
            .count();
        assert_eq!(filed, 4999 - WAITING_IN_MEMORY);
        out(&mut router, 1, "first\n");
        router.end(1).expect("ended");
        let mut expected = "first\n".to_owned();
        for sequence in 2..=5000 {
            expected += &format!("job {sequence}\ta\njob {sequence}\tb\n");
        }
        assert!(recorder.stdout() == expected, "{mode:?}");
        assert_eq!((router.jobs.len(), router.waiting), (0, 0));
    }
}

#[test]
fn lines_never_mix() {
    let (mut router, recorder) = router(OutputMode::Line, false);
    out(&mut router, 1, "a");
    out(&mut router, 2, "x\ny");
    out(&mut router, 1, "b\nc");
    assert_eq!(recorder.stdout(), "x\nab\n");
    err(&mut router, 1, "e\n");
    assert_eq!(recorder.stderr(), "e\n");
    router.end(1).expect("ended");
    router.end(2).expect("ended");
    assert_eq!(recorder.stdout(), "x\nab\ncy");
}

#[test]
fn lines_in_order_show_the_first_job_live() {
    let (mut router, recorder) = router(OutputMode::Line, true);
    out(&mut router, 2, "two\ntwo ");
    out(&mut router, 1, "one\n");
    assert_eq!(recorder.stdout(), "one\n");
    router.end(1).expect("ended");
    assert_eq!(recorder.stdout(), "one\ntwo\ntwo ");
    out(&mut router, 2, "again\n");
    assert_eq!(recorder.stdout(), "one\ntwo\ntwo again\n");
    router.end(2).expect("ended");
    assert_eq!(recorder.stdout(), "one\ntwo\ntwo again\n");
}

#[test]
fn tags_begin_every_line_of_both_streams() {
    for mode in [OutputMode::Group, OutputMode::Line] {
        let (mut router, recorder) = router(mode, false);
        router.start(1, Some(b"a b"));
        out(&mut router, 1, "x\ny");
        out(&mut router, 1, "z");
        err(&mut router, 1, "e\n");
        router.end(1).expect("ended");
        assert_eq!(recorder.stdout(), "a b\tx\na b\tyz", "{mode:?}");
        assert_eq!(recorder.stderr(), "a b\te\n", "{mode:?}");
    }
}

#[test]
fn a_void_try_leaves_nothing() {
    let (mut router, recorder) = router(OutputMode::Group, false);
    out(&mut router, 1, "first try\n");
    router.void(1);
    out(&mut router, 1, "second try\n");
    let capture = router.capture(1).expect("running");
    assert_eq!(capture.stdout.seen, 11);
    router.end(1).expect("ended");
    assert_eq!(recorder.stdout(), "second try\n");
}

#[test]
fn without_output_it_is_captured_all_the_same() {
    let (mut router, recorder) = router(OutputMode::None, false);
    out(&mut router, 1, &"x".repeat(5000));
    let capture = router.capture(1).expect("running");
    assert_eq!(
        (capture.stdout.seen, capture.stdout.kept.len()),
        (5000, 1000)
    );
    router.end(1).expect("ended");
    assert_eq!(recorder.stdout(), "");
}

#[test]
fn a_closed_standard_output_is_told_apart() {
    let (mut router, recorder) = router(OutputMode::Group, false);
    recorder.0.borrow_mut().closed = true;
    err(&mut router, 1, "only on standard error\n");
    assert!(router.end(1).is_ok(), "nobody misses standard error");
    out(&mut router, 2, "x\n");
    assert!(matches!(router.end(2), Err(OutputError::Closed)));
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let sink = TextSink::new(Box::new(full), false, Box::new(io::sink()), false);
    let options = OutputOptions {
        mode: OutputMode::Group,
        keep_order: false,
        capture_limit: 0,
    };
    let mut router = OutputRouter::new(sink, options);
    router.write(1, Stream::Stdout, b"x\n").expect("captured");
    assert!(matches!(router.end(1), Err(OutputError::Write(_))));
}

#[test]
fn every_byte_passes_and_large_outputs_do_too() {
    let (mut router, recorder) = router(OutputMode::Group, true);
    let bytes: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    for chunk in bytes.chunks(60_001) {
        router.write(2, Stream::Stdout, chunk).expect("written");
    }
    router.end(2).expect("ended");
    assert!(recorder.0.borrow().stdout.is_empty());
    router.end(1).expect("ended");
    assert!(recorder.0.borrow().stdout == bytes);
}

#[test]
fn text_goes_to_terminals_filtered_and_to_files_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name| directory.path().join(name);
    let file = |name| Box::new(std::fs::File::create(path(name)).expect("a file"));
    let mut sink = TextSink::new(file("out"), false, file("err"), true);
    sink.write(1, Stream::Stdout, b"\x1b[2J\n")
        .expect("written");
    sink.write(1, Stream::Stderr, b"\x1b[2J\n")
        .expect("written");
    sink.flush().expect("flushed");
    assert_eq!(std::fs::read(path("out")).expect("readable"), b"\x1b[2J\n");
    assert_eq!(std::fs::read(path("err")).expect("readable"), b"\\x1b[2J\n");
}
