//! The kernel's numbers, each with its reason.

use std::time::Duration;

use super::TimeLimit;

/// What the kernel goes by. The defaults suit a lab of workstations.
#[derive(Clone, PartialEq, Debug)]
pub struct KernelConfig {
    /// Where its random pauses come from. Kernels with the same seed and the same events decide the same.
    pub seed: u64,
    /// How hosts are reached.
    pub connect: ConnectConfig,
    /// How a host that fails tasks is found out.
    pub blame: BlameConfig,
    /// After how many crashes under it a task is quarantined.
    pub crash_limit: u32,
    /// How long a silent host is given before it is lost; only to tell observers how long is left.
    pub lease: Duration,
    /// How long after a silent host was lost its attempts go elsewhere: the agent has kept the same lease and has
    /// killed everything by then, even when its clock runs a little slow.
    pub doubt: Duration,
    /// From TERM to KILL for an attempt that has run too long.
    pub grace: Duration,
    /// How long beyond its grace an attempt may take to be gone. A host that needs longer does not obey and is dropped.
    pub stop_margin: Duration,
    /// From when on an attempt is called slow.
    pub slow: TimeLimit,
    /// How many successes of a class make its median known.
    pub median_samples: u64,
    /// The least that a percentage of a median means: milliseconds say nothing about a task.
    pub median_floor: Duration,
    /// How long a task for several cores is passed by smaller ones before a host is kept free for it.
    pub reserve_after: Duration,
    /// The most slots that are believed of one host: what a host claims must not make the client pull jobs without end.
    pub max_slots: u32,
    /// The most attempts that wait on a host for each of its slots.
    pub max_prefetch: u32,
    /// How deep tasks may be nested. Each level is a process that waits.
    pub max_depth: u32,
    #[cfg(test)]
    pub(crate) planted: Option<super::planted::Bug>,
}

impl Default for KernelConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            connect: ConnectConfig::default(),
            blame: BlameConfig::default(),
            crash_limit: 3,
            lease: Duration::from_secs(60),
            doubt: Duration::from_secs(10),
            grace: Duration::from_secs(10),
            stop_margin: Duration::from_secs(60),
            slow: TimeLimit::OfMedian(300),
            median_samples: 10,
            median_floor: Duration::from_secs(1),
            reserve_after: Duration::from_secs(10),
            max_slots: 4096,
            max_depth: 256,
            max_prefetch: 64,
            #[cfg(test)]
            planted: None,
        }
    }
}

/// How hosts are reached, and for how long they are waited for.
#[derive(Clone, PartialEq, Debug)]
pub struct ConnectConfig {
    /// How many hosts are being connected at once. Key exchange is work for the client's processor too, and
    /// several hosts often stand behind one jump host.
    pub at_once: usize,
    /// The most that the first connection to a host is put off, at random, so that not all knock in the same
    /// millisecond. The first host is never put off.
    pub jitter: Duration,
    /// The first pause after a failure that may pass; it doubles with each further one.
    pub pause: Duration,
    /// The longest pause.
    pub max_pause: Duration,
    /// The shortest pause after sshd had too many logins at once.
    pub crowded_pause: Duration,
    /// The longest such pause.
    pub max_crowded_pause: Duration,
    /// How many such refusals in a row are no failure.
    pub crowded_tries: u32,
    /// After how many failures in a row a host is no longer waited for. It is tried on, and taken when it comes, but
    /// when no better host is left, tasks end with [`NoHostLeft`](crate::job::TaskError::NoHostLeft).
    pub patience: u32,
    /// How long a host that worked is waited for after its loss, however often it fails: a switch that starts anew
    /// must not end the run.
    pub hope: Duration,
    /// How long a host must have been up, unless it has completed a task, for its loss not to count as one more failure in a row.
    pub stable_after: Duration,
    /// How long a start may stay at one stage: a last resort, since whoever connects has closer limits of its own.
    pub stage_limit: Duration,
}

impl Default for ConnectConfig {
    fn default() -> Self {
        Self {
            at_once: 16,
            jitter: Duration::from_millis(100),
            pause: Duration::from_secs(1),
            max_pause: Duration::from_secs(30),
            crowded_pause: Duration::from_millis(300),
            max_crowded_pause: Duration::from_secs(3),
            crowded_tries: 10,
            patience: 3,
            hope: Duration::from_secs(60),
            stable_after: Duration::from_secs(30),
            stage_limit: Duration::from_secs(3600),
        }
    }
}

/// When a host is paused because it fails tasks fast while others succeed.
#[derive(Clone, PartialEq, Debug)]
pub struct BlameConfig {
    /// How many fast failures in a row make a host suspect.
    pub failures: u32,
    /// A failure within this time, or within the median of its class's successes, is fast.
    pub fast: Duration,
    /// How many recent results of other hosts are needed to compare with.
    pub others: u32,
    /// The percentage of them that must be successes; below it the tasks are bad and not the host.
    pub others_percent: u32,
    /// How many tasks in a row a host may be unable to start at all before it is paused, whatever others do.
    pub not_started: u32,
    /// How long the first pause lasts; it doubles when the task that ends it fails too.
    pub pause: Duration,
    /// The longest pause.
    pub max_pause: Duration,
}

impl Default for BlameConfig {
    fn default() -> Self {
        Self {
            failures: 5,
            fast: Duration::from_secs(1),
            others: 5,
            others_percent: 80,
            not_started: 3,
            pause: Duration::from_secs(30),
            max_pause: Duration::from_secs(300),
        }
    }
}
