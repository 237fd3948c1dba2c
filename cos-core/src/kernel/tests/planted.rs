//! The simulation finds bugs: each of these is planted, and some seed must fail.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::simulation::simulate;
use crate::kernel::planted::Bug;

/// Seeds within which a bug must show.
const SEEDS: u64 = 400;

fn shows(bug: Bug) {
    let found = (0..SEEDS)
        .find(|seed| catch_unwind(AssertUnwindSafe(|| simulate(*seed, Some(bug)))).is_err());
    assert!(found.is_some(), "{bug:?} stays hidden for {SEEDS} seeds");
}

macro_rules! finds {
    ($($name:ident: $bug:ident,)*) => {$(
        #[test]
        fn $name() {
            shows(Bug::$bug);
        }
    )*};
}

finds! {
    finds_that_old_epochs_are_believed: IgnoresEpoch,
    finds_that_lost_attempts_are_forgotten: ForgetsLostAttempts,
    finds_that_amounts_are_granted_twice: GrantsTwice,
    finds_that_amounts_are_kept: KeepsAmounts,
    finds_that_silent_hosts_are_believed_dead: DoubtsNothing,
    finds_that_crashes_are_not_counted: CountsNoCrash,
    finds_that_a_leaving_host_is_connected_again: ReconnectsLeaver,
    finds_that_a_missing_tool_uses_a_try: MissingUsesTry,
    finds_that_a_limit_is_not_armed: ForgetsLimit,
    finds_that_doubt_never_ends: DoubtsForEver,
    finds_that_nobody_is_left_out: LeavesNobodyOut,
    finds_that_returned_attempts_are_lost: LosesReturned,
    finds_that_load_is_ignored: IgnoresLoad,
    finds_that_drained_hosts_are_filled: FillsDrained,
    finds_that_cancelled_tasks_run_again: RevivesCancelled,
    finds_that_lent_amounts_are_kept: KeepsLent,
    finds_that_woken_tasks_are_forgotten: ForgetsWoken,
    finds_that_orphans_are_left: LeavesOrphans,
}
