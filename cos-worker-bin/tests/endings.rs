//! Ends of all kinds, after which nothing is left.

mod host;

use std::time::Duration;

use host::Host;

#[test]
fn the_end_of_the_channel_ends_everything() {
    let mut host = Host::ready();
    let line = "setsid sleep 1000 & sleep 1000 & trap '' TERM HUP; echo ready; sleep 1000";
    let attempt = host.shell(line);
    host.wait_for_output(attempt, "ready");
    host.close();
    host.assert_gone_within(Duration::from_secs(2));
    let (status, words) = host.bridge_end();
    assert!(status.success(), "{words}");
}
