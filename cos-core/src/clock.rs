//! The one place that reads the clock.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::time::Time;

/// The present moment on `CLOCK_BOOTTIME`, which goes on while the machine sleeps and never goes back.
pub fn now() -> Time {
    let spec = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(spec.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(spec.tv_nsec).unwrap_or(0);
    Time::from_boot(Duration::new(seconds, nanoseconds))
}
