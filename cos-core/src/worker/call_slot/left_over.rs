//! What a call leaves behind: processes that it has started and not waited for.

use std::time::{Duration, Instant};

use crate::worker::calls::{Children, reap_all};
use crate::worker::containment::{self, Scope};
use crate::worker::slot::running::{KILL_LIMIT, LEFT_OVER_GRACE};

/// How long to wait between two looks (0.5 ms).
const PAUSE: Duration = Duration::from_micros(500);

/// Lets what a call has left behind end by itself for a moment, kills the rest and says how many processes that were.
///
/// That there is no child proves that nothing is left, since this process is a child subreaper.
pub(super) fn clear() -> u32 {
    let mut reap = || reap_all(&mut |_| {});
    let until = Instant::now() + LEFT_OVER_GRACE;
    while reap() == Children::Some {
        if Instant::now() >= until {
            return containment::kill(Scope::All, &mut reap, KILL_LIMIT).count;
        }
        std::thread::sleep(PAUSE);
    }
    0
}
