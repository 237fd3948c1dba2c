//! Enough file descriptors for many hosts.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a host takes: ssh's standard error, three streams, the control connection, and a moment's more of each while
/// it is reached.
const FOR_EACH_HOST: u64 = 10;

/// What everything else of a program takes.
const FOR_THE_REST: u64 = 256;

/// Raises the soft limit of this process towards its hard limit, if so many hosts need more. Child processes inherit
/// it. What the hard limit forbids shows as an error of the host that found no descriptor.
pub(super) fn allow_for(hosts: usize) {
    let limit = getrlimit(Resource::Nofile);
    if let Some(raised) = raised(limit, hosts)
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::debug!(target: "cos::vm", %error, "the limit of open files stays");
    }
}

fn raised(limit: Rlimit, hosts: usize) -> Option<Rlimit> {
    let wanted = FOR_EACH_HOST * hosts as u64 + FOR_THE_REST;
    // No number means no limit.
    let current = limit.current?;
    let possible = limit.maximum.map_or(wanted, |maximum| wanted.min(maximum));
    (current < possible).then_some(Rlimit {
        current: Some(possible),
        maximum: limit.maximum,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(current: Option<u64>, maximum: Option<u64>) -> Rlimit {
        Rlimit { current, maximum }
    }

    #[test]
    fn the_limit_is_raised_as_far_as_needed_and_allowed() {
        let usual = limit(Some(1024), Some(524_288));
        assert_eq!(raised(usual, 12), None);
        assert_eq!(raised(usual, 200), Some(limit(Some(2256), Some(524_288))));
        let tight = limit(Some(1024), Some(2000));
        assert_eq!(raised(tight, 200), Some(limit(Some(2000), Some(2000))));
        assert_eq!(raised(limit(Some(2000), Some(2000)), 200), None);
        assert_eq!(raised(limit(None, None), 200), None);
    }
}
