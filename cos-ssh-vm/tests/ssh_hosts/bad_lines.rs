//! Lines that are slow, break or damage what they carry while a host is reached.

use std::time::Duration;

use cos_core::vm::host::{FailureKind, Stage};
use cos_testlab::{Fault, FaultPlan, Lab, Toward};

use crate::support::*;

/// Larger than what the streams between client and host hold on their way.
const WORKER_BYTES: usize = 3_000_000;

#[test]
fn a_line_that_breaks_at_any_moment_leaves_nothing_and_the_next_try_succeeds() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    let workers = large_worker(WORKER_BYTES);
    let faults = [
        (Toward::Host, 0, Fault::Close),
        (Toward::Host, 30, Fault::Reset),
        (Toward::Client, 500, Fault::Reset),
        (Toward::Host, 2_000, Fault::Flip),
        (Toward::Host, 100_000, Fault::Reset),
        (Toward::Host, 1_000_000, Fault::Close),
        (Toward::Host, 1_500_000, Fault::Flip),
    ];
    for (toward, offset, fault) in faults {
        host.through(FaultPlan::new().at(toward, offset, fault))
            .unwrap();
        let launched = run(launch(&mut launcher(&lab, "ws01", &workers)));
        let failure = launched.failure();
        let what = format!("{fault:?} at {offset}: {failure:?}");
        assert!(
            matches!(failure.kind, FailureKind::Retry | FailureKind::Crowded),
            "{what}"
        );
        assert!(!failure.cause.is_empty(), "{what}");
        if offset >= 100_000 {
            assert!(matches!(failure.stage, Stage::Uploading { .. }), "{what}");
            assert_eq!(failure.headline, "the connection to ws01 is lost", "{what}");
            assert_eq!(failure.kind, FailureKind::Retry);
        }
        host.wait_for_no_processes(DEADLINE).unwrap();
        let files = host.files_under(host.home());
        assert!(files.is_empty(), "{what}: {files:?}");
    }
    host.through(FaultPlan::new()).unwrap();
    run(async {
        let mut channel = launch(&mut launcher(&lab, "ws01", &workers))
            .await
            .channel();
        converse_with_echo(&mut channel).await;
    });
}

#[test]
fn a_slow_line_takes_its_time() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    let plan = FaultPlan::new()
        .latency(Duration::from_millis(150))
        .bytes_per_second(256 * 1024)
        .fragmented();
    host.through(plan).unwrap();
    let workers = large_worker(400_000);
    run(async {
        let mut channel = launch(&mut launcher(&lab, "ws01", &workers))
            .await
            .channel();
        converse_with_echo(&mut channel).await;
        assert!(channel.uploaded > 400_000);
    });
    assert_eq!(host.connections(), 1);
}
