//! Bugs that a test can plant, to prove that the simulation would find them. Outside tests the question is answered at
//! compile time and nothing of this is left.

/// A mistake that the kernel makes when its configuration says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bug {
    /// Believes results of attempts that are no longer current.
    IgnoresEpoch,
    /// Does not put the attempts of a lost host back.
    ForgetsLostAttempts,
    /// Grants amounts that are taken.
    GrantsTwice,
    /// Does not free what an attempt took.
    KeepsAmounts,
    /// Puts attempts of a silent host back at once, while its agent may still run them.
    DoubtsNothing,
    /// Does not count crashes.
    CountsNoCrash,
    /// Connects a host again whose administrator sent it away.
    ReconnectsLeaver,
    /// Lets exit 126 and 127 use a try.
    MissingUsesTry,
    /// Arms no time limit.
    ForgetsLimit,
    /// Does not arm the timer that ends doubt.
    DoubtsForEver,
    /// Sends tasks to hosts that lack their tool.
    LeavesNobodyOut,
    /// Does not place a task again that was given back.
    LosesReturned,
    /// Sends tasks to hosts that others need.
    IgnoresLoad,
    /// Sends tasks to hosts that are being drained.
    FillsDrained,
    /// Runs cancelled tasks again.
    RevivesCancelled,
    /// Serves tasks in the order in which they came, and woken ones last.
    FirstComeFirstServed,
    /// Does not free what an attempt takes that has lent its licence.
    KeepsLent,
    /// Gives nobody a licence back.
    ForgetsWoken,
    /// Does not cancel the children of a task that is gone.
    LeavesOrphans,
}
