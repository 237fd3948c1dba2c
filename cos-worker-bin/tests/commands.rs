//! Command jobs on a real agent: what they see, what comes back.

mod host;

use cos_core::job::{Exit, Stream};
use host::Host;

#[test]
fn an_echo_comes_back() {
    let mut host = Host::ready();
    let (end, output) = host.run("echo hello; echo oops >&2; exit 3");
    assert_eq!(end.exit, Exit::Code(3));
    assert_eq!(output, b"hello\n");
    assert_eq!((end.stdout.seen, end.stdout.sent), (6, 6));
    assert_eq!(end.stderr.seen, 5);
    let stderr = host.output_of(
        cos_core::ids::AttemptId {
            task: cos_core::ids::TaskId(1),
            epoch: cos_core::ids::Epoch::FIRST,
        },
        Stream::Stderr,
    );
    assert_eq!(stderr, b"oops\n");
    assert_eq!(host.shut_down(), Vec::<String>::new());
    let (status, words) = host.bridge_end();
    assert!(status.success(), "{words}");
    assert_eq!(words, "");
}
