//! Arguments and values of every length.

use cos_core::job::TaskError;
use cos_task_tests::good;

use crate::host::*;

/// Below, at and above the limits of a frame, of a window and of several.
const LENGTHS: [usize; 8] = [
    0,
    1,
    60 * 1024,
    64 * 1024,
    70 * 1024,
    256 * 1024,
    300 * 1024,
    5 << 20,
];

#[test]
fn arguments_and_values_of_every_length_arrive() {
    for host in [Host::local(), Host::ssh()] {
        host.run(async |_| {
            let counted =
                values(LENGTHS.map(|length| good::count::job(good::pattern(length)))).await;
            assert_eq!(counted, LENGTHS);
            let received = values(LENGTHS.map(good::bytes::job)).await;
            for (bytes, length) in received.iter().zip(LENGTHS) {
                assert!(*bytes == good::pattern(length), "{length} bytes");
            }
        });
    }
}

#[test]
fn what_is_too_long_is_refused_with_a_sentence() {
    const TOO_MUCH: usize = 65 << 20;
    Host::local().run(async |log| {
        let (_, result) = one(good::bytes::job(TOO_MUCH)).await;
        let error = result.expect_err("too long a value");
        assert!(matches!(error, TaskError::Encode { .. }), "{error:?}");
        assert!(error.to_string().contains("64 MiB"), "{error}");
        let result = all([good::count::job(good::pattern(TOO_MUCH))])
            .await
            .remove(0);
        let error = result.expect_err("too long an argument");
        assert!(matches!(error, TaskError::Encode { .. }), "{error:?}");
        assert_eq!(log.restarts(), 0);
    });
}
