//! Frozen traces: the exact order of turns that PyOPUS gives, for fixed programs.

use super::interpreter::{Call, REMOTE, Seen, run};
use super::worlds::Listed;
use crate::ids::Tid;

/// The trace in short: `1 spawn`, `2 yield`, `1 got 2`, `2 ends`.
fn trace(scripts: Vec<Vec<Call>>, elsewhere: Vec<(usize, usize)>) -> Vec<String> {
    run(&scripts, &mut Listed::new(elsewhere))
        .into_iter()
        .map(|seen| match seen {
            Seen::Calls(tid, Call::Yield) => format!("{tid} yield"),
            Seen::Calls(tid, Call::Spawn(_) | Call::SpawnHidden(_) | Call::SpawnRemote(_)) => {
                format!("{tid} spawn")
            }
            Seen::Calls(tid, Call::JoinAny | Call::Join(_)) => format!("{tid} join"),
            Seen::Calls(tid, Call::TryJoinAny | Call::TryJoin(_)) => format!("{tid} try"),
            Seen::Calls(tid, Call::Detach(_)) => format!("{tid} detach"),
            Seen::Joined(tid, Some((Tid(child), _))) => format!("{tid} got {child}"),
            Seen::Joined(tid, None) => format!("{tid} got none"),
            Seen::Calls(tid, Call::Fail) => format!("{tid} fails"),
            Seen::Refused(tid) => format!("{tid} refused"),
            Seen::Ends(tid) => format!("{tid} ends"),
            Seen::EndsElsewhere(tid) => format!("{tid} ends elsewhere"),
        })
        .collect()
}

#[test]
fn a_child_runs_before_its_parent_goes_on() {
    let found = trace(
        vec![
            vec![Call::Spawn(1), Call::Spawn(1), Call::JoinAny, Call::JoinAny],
            vec![Call::Yield],
        ],
        vec![],
    );
    assert_eq!(
        found,
        [
            "1 spawn", "2 yield", "1 spawn", "2 ends", "3 yield", "1 join", "3 ends", "1 got 2",
            "1 join", "1 got 3", "1 ends",
        ]
    );
}

#[test]
fn yields_go_round_in_order() {
    let found = trace(
        vec![
            vec![
                Call::Spawn(1),
                Call::Spawn(1),
                Call::Yield,
                Call::Yield,
                Call::Yield,
            ],
            vec![Call::Yield, Call::Yield],
        ],
        vec![],
    );
    assert_eq!(
        found,
        [
            "1 spawn", "2 yield", "1 spawn", "2 yield", "3 yield", "1 yield", "2 ends", "3 yield",
            "1 yield", "3 ends", "1 yield", "1 ends",
        ]
    );
}

#[test]
fn a_join_goes_behind_the_queue_even_with_a_result_at_hand() {
    let found = trace(
        vec![
            vec![
                Call::Spawn(1),
                Call::Spawn(2),
                Call::Join(vec![0]),
                Call::TryJoinAny,
            ],
            vec![],
            vec![Call::Yield, Call::Yield, Call::Yield],
        ],
        vec![],
    );
    assert_eq!(
        found,
        [
            "1 spawn",
            "2 ends",
            "1 spawn",
            "3 yield",
            "1 join",
            "3 yield",
            "1 got 2",
            "1 try",
            "3 yield",
            "1 got none",
            "1 ends",
        ]
    );
}

#[test]
fn among_those_finished_at_the_call_the_lowest_tid_is_joined() {
    let found = trace(
        vec![
            vec![
                Call::Spawn(1),
                Call::Spawn(2),
                Call::Spawn(2),
                Call::Yield,
                Call::Yield,
                Call::JoinAny,
                Call::JoinAny,
                Call::JoinAny,
                Call::JoinAny,
            ],
            vec![Call::Yield, Call::Yield, Call::Yield],
            vec![],
        ],
        vec![],
    );
    // 3 and 4 end before 2, which has ended too when main asks.
    assert_eq!(
        found,
        [
            "1 spawn",
            "2 yield",
            "1 spawn",
            "2 yield",
            "3 ends",
            "1 spawn",
            "2 yield",
            "4 ends",
            "1 yield",
            "2 ends",
            "1 yield",
            "1 join",
            "1 got 2",
            "1 join",
            "1 got 3",
            "1 join",
            "1 got 4",
            "1 join",
            "1 got none",
            "1 ends",
        ]
    );
}

#[test]
fn a_blocked_join_is_bound_to_the_child_that_finishes_first() {
    let found = trace(
        vec![
            vec![Call::Spawn(1), Call::Spawn(2), Call::JoinAny, Call::JoinAny],
            vec![Call::Yield, Call::Yield, Call::Yield],
            vec![Call::Yield],
        ],
        vec![],
    );
    // 3 ends first, and 2 ends before main's turn: main gets 3 nevertheless.
    assert_eq!(
        found,
        [
            "1 spawn", "2 yield", "1 spawn", "2 yield", "3 yield", "1 join", "2 yield", "3 ends",
            "2 ends", "1 got 3", "1 join", "1 got 2", "1 ends",
        ]
    );
}

#[test]
fn children_end_with_their_parent() {
    let found = trace(
        vec![
            vec![Call::Spawn(1), Call::JoinAny, Call::Yield],
            vec![Call::Spawn(2), Call::Yield],
            vec![Call::Yield, Call::Yield, Call::Yield, Call::Yield],
        ],
        vec![],
    );
    assert_eq!(
        found,
        [
            "1 spawn", "2 spawn", "1 join", "3 yield", "2 yield", "3 yield", "2 ends", "1 got 2",
            "1 yield", "1 ends",
        ]
    );
}

#[test]
fn remote_children_are_joined_as_they_end() {
    let found = trace(
        vec![vec![
            REMOTE,
            REMOTE,
            Call::JoinAny,
            Call::TryJoinAny,
            Call::Join(vec![0]),
        ]],
        vec![(5, 1), (9, 0)],
    );
    assert_eq!(
        found,
        [
            "1 spawn",
            "1 spawn",
            "1 join",
            "3 ends elsewhere",
            "1 got 3",
            "1 try",
            "1 got none",
            "1 join",
            "2 ends elsewhere",
            "1 got 2",
            "1 ends",
        ]
    );
}
