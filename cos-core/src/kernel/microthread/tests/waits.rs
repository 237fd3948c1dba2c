//! Several waits of one microthread: `select!`, `join_all`, waits that are dropped.

use crate::ids::Tid;
use crate::kernel::microthread::{
    Answer, Child, JoinError, MAIN, Microthreads, Place, SCHEDULER, Visibility, WaitId,
};

/// Main, and so many children, which wait for nothing; main has its turn.
pub(super) fn family(children: u64) -> (Microthreads<u64>, Vec<Tid>) {
    let mut threads = Microthreads::new();
    let first = threads.next_turn().expect("main's turn");
    assert_eq!(first.tid, MAIN);
    let mut tids = Vec::new();
    for _ in 0..children {
        let (Child { tid, .. }, wait) = threads.spawn(MAIN, Visibility::Shown, Place::Local);
        tids.push(tid);
        while let Some(turn) = threads.next_turn() {
            if turn.wait == Some(wait) {
                assert_eq!(threads.take(wait), Some(Answer::Turn));
            }
        }
    }
    threads.check();
    (threads, tids)
}

fn turn(threads: &mut Microthreads<u64>, wait: WaitId) {
    let turn = threads.next_turn().map(|turn| (turn.tid, turn.wait));
    assert_eq!(turn, Some((MAIN, Some(wait))));
}

fn joined(tid: Tid) -> Option<Answer<u64>> {
    Some(Answer::Joined(Some((tid, tid.0 * 10))))
}

fn finish(threads: &mut Microthreads<u64>, tid: Tid) {
    threads.finish(tid, tid.0 * 10);
    threads.check();
}

#[test]
fn each_of_two_joins_gets_its_own_child() {
    let (mut threads, tids) = family(2);
    let first = threads.join_named(MAIN, &[tids[0]]);
    let second = threads.join_named(MAIN, &[tids[1]]);
    finish(&mut threads, tids[1]);
    turn(&mut threads, second);
    assert_eq!(threads.take(first), None, "the other was woken");
    assert_eq!(threads.take(second), joined(tids[1]));
    finish(&mut threads, tids[0]);
    turn(&mut threads, first);
    assert_eq!(threads.take(first), joined(tids[0]));
    assert_eq!(threads.take(first), None, "a wait is taken once");
}

#[test]
fn an_answer_is_not_seen_before_its_turn() {
    let (mut threads, tids) = family(1);
    finish(&mut threads, tids[0]);
    let wait = threads.join_any(MAIN);
    assert_eq!(threads.take(wait), None);
    turn(&mut threads, wait);
    assert_eq!(threads.take(wait), joined(tids[0]));
}

#[test]
fn a_child_of_a_dropped_join_is_joined_by_the_next() {
    for state in 0..2 {
        let (mut threads, tids) = family(1);
        let dropped = threads.join_any(MAIN);
        finish(&mut threads, tids[0]);
        if state == 1 {
            turn(&mut threads, dropped);
        }
        assert_eq!(threads.finished_count(), 0, "it is promised");
        threads.withdraw(dropped);
        threads.check();
        assert_eq!(threads.finished_count(), 1);
        let wait = threads.join_any(MAIN);
        turn(&mut threads, wait);
        assert_eq!(threads.take(wait), joined(tids[0]));
        assert_eq!(threads.next_turn(), None);
    }
}

#[test]
fn a_child_of_a_dropped_join_goes_to_one_that_waits() {
    let (mut threads, tids) = family(2);
    let dropped = threads.join_any(MAIN);
    let other = threads.join_named(MAIN, &tids);
    finish(&mut threads, tids[0]);
    threads.withdraw(dropped);
    threads.check();
    turn(&mut threads, other);
    assert_eq!(threads.take(other), joined(tids[0]));
}

#[test]
fn a_dropped_wait_leaves_nothing() {
    let (mut threads, tids) = family(3);
    let waits = [
        threads.join_any(MAIN),
        threads.join_named(MAIN, &tids),
        threads.yield_now(MAIN),
        threads.open_wait(MAIN),
    ];
    for wait in waits {
        threads.withdraw(wait);
        threads.check();
        threads.withdraw(wait);
    }
    assert_eq!(threads.next_turn(), None);
    threads.resolve(waits[3]);
    assert_eq!(threads.next_turn(), None);
}

#[test]
fn of_two_joins_for_one_child_the_older_gets_it_and_the_other_nothing() {
    let (mut threads, tids) = family(1);
    let first = threads.join_any(MAIN);
    let second = threads.join_named(MAIN, &tids);
    let third = threads.join_any(MAIN);
    finish(&mut threads, tids[0]);
    let mut answers = Vec::new();
    while let Some(turn) = threads.next_turn() {
        let wait = turn.wait.expect("a wait's turn");
        answers.push((wait, threads.take(wait)));
    }
    answers.sort_by_key(|(wait, _)| *wait);
    let none = Some(Answer::Joined(None));
    assert_eq!(
        answers,
        [
            (first, joined(tids[0])),
            (second, none.clone()),
            (third, none)
        ]
    );
}

#[test]
fn ten_thousand_joins_each_cost_the_same() {
    let (mut threads, tids) = family(10_000);
    let waits: Vec<_> = tids
        .iter()
        .map(|tid| threads.join_named(MAIN, &[*tid]))
        .collect();
    for tid in tids.iter().rev() {
        threads.finish(*tid, tid.0 * 10);
    }
    for (tid, wait) in tids.iter().zip(waits).rev() {
        turn(&mut threads, wait);
        assert_eq!(threads.take(wait), joined(*tid));
    }
    threads.check();
    assert_eq!(threads.count(), 1);
}

#[test]
fn wake_ups_from_outside_give_one_turn_each_time() {
    let (mut threads, _) = family(0);
    assert_eq!(threads.next_turn(), None);
    threads.wake(MAIN);
    threads.wake(MAIN);
    let turn = threads.next_turn().map(|turn| (turn.tid, turn.wait));
    assert_eq!(turn, Some((MAIN, None)));
    assert_eq!(threads.next_turn(), None);
    threads.wake(MAIN);
    let turn = threads.next_turn().map(|turn| (turn.tid, turn.wait));
    assert_eq!(turn, Some((MAIN, None)));
    threads.wake(Tid(99));
    assert_eq!(threads.next_turn(), None);
}

#[test]
fn what_happens_elsewhere_resolves_a_wait_in_its_turn() {
    let (mut threads, _) = family(0);
    let slot = threads.open_wait(MAIN);
    assert_eq!(threads.next_turn(), None);
    let before = threads.yield_now(MAIN);
    threads.resolve(slot);
    threads.resolve(slot);
    turn(&mut threads, before);
    turn(&mut threads, slot);
    assert_eq!(threads.take(slot), Some(Answer::Resolved));
    assert_eq!(threads.next_turn(), None);
}

#[test]
fn hidden_children_are_joined_by_name_only() {
    let (mut threads, _) = family(0);
    let (Child { tid: child, .. }, _) = threads.spawn(MAIN, Visibility::Hidden, Place::Local);
    finish(&mut threads, child);
    assert_eq!(threads.finished_count(), 0);
    let any = threads.join_any(MAIN);
    let named = threads.join_named(MAIN, &[child]);
    while threads.next_turn().is_some() {}
    assert_eq!(threads.take(any), Some(Answer::Joined(None)));
    assert_eq!(threads.take(named), joined(child));
}

#[test]
fn a_detached_child_is_nobodys() {
    let (mut threads, tids) = family(2);
    let any = threads.join_any(MAIN);
    threads.detach(tids[0]);
    threads.detach(tids[1]);
    threads.check();
    turn(&mut threads, any);
    assert_eq!(threads.take(any), Some(Answer::Joined(None)));
    finish(&mut threads, tids[0]);
    assert_eq!(threads.info(tids[0]), None);
    assert_eq!(threads.count(), 2);
}

#[test]
fn a_checked_join_says_what_is_wrong() {
    let (mut threads, tids) = family(2);
    let (
        Child {
            tid: grandchild, ..
        },
        _,
    ) = threads.spawn(tids[0], Visibility::Shown, Place::Local);
    assert_eq!(threads.check_join(MAIN, &tids), Ok(()));
    for reserved in [SCHEDULER, MAIN] {
        assert_eq!(
            threads.check_join(MAIN, &[tids[0], reserved]),
            Err(JoinError::Reserved(reserved))
        );
    }
    assert_eq!(
        threads.check_join(MAIN, &[Tid(77)]),
        Err(JoinError::Unknown(Tid(77)))
    );
    let not_own = JoinError::NotOwn {
        tid: grandchild,
        parent: tids[0],
    };
    assert_eq!(threads.check_join(MAIN, &[grandchild]), Err(not_own));
    // An unchecked join skips them.
    let wait = threads.join_named(MAIN, &[SCHEDULER, MAIN, Tid(77), grandchild]);
    while threads.next_turn().is_some() {}
    assert_eq!(threads.take(wait), Some(Answer::Joined(None)));
}

#[test]
fn orphans_of_every_generation_are_named_once() {
    let (mut threads, tids) = family(1);
    let (Child { tid: child, .. }, _) = threads.spawn(tids[0], Visibility::Shown, Place::Local);
    let place = Place::Remote(None);
    let (Child { tid: remote, .. }, _) = threads.spawn(child, Visibility::Hidden, place);
    threads.set_task(remote, crate::ids::TaskId(5));
    let (Child { tid: ended, .. }, _) = threads.spawn(child, Visibility::Shown, Place::Local);
    finish(&mut threads, ended);
    assert_eq!((threads.local_count(), threads.remote_count()), (3, 1));
    let orphans = threads.finish(tids[0], 0);
    threads.check();
    let found: Vec<_> = orphans
        .iter()
        .map(|orphan| (orphan.tid, orphan.place))
        .collect();
    let task = Place::Remote(Some(crate::ids::TaskId(5)));
    assert_eq!(found, [(child, Place::Local), (remote, task)]);
    assert_eq!((threads.count(), threads.finished_count()), (1, 1));
    assert_eq!(
        threads.info(MAIN).expect("main lives").finished_children,
        tids
    );
}

#[test]
fn a_group_gives_its_own_children_and_no_others() {
    let (mut threads, tids) = family(1);
    let group = threads.open_group();
    let none = threads.join_group(MAIN, group);
    while threads.next_turn().is_some() {}
    assert_eq!(threads.take(none), Some(Answer::Joined(None)));
    let grouped: Vec<Tid> = (0..3)
        .map(|_| {
            let visibility = Visibility::Grouped(group);
            threads.spawn(MAIN, visibility, Place::Local).0.tid
        })
        .collect();
    while threads.next_turn().is_some() {}
    finish(&mut threads, tids[0]);
    let wait = threads.join_group(MAIN, group);
    assert_eq!(threads.next_turn(), None, "another child is no answer");
    finish(&mut threads, grouped[2]);
    finish(&mut threads, grouped[1]);
    turn(&mut threads, wait);
    assert_eq!(threads.take(wait), joined(grouped[2]));
    assert_eq!(
        threads.finished_count(),
        1,
        "those of a group are not counted"
    );
    let lowest = threads.join_group(MAIN, group);
    finish(&mut threads, grouped[0]);
    turn(&mut threads, lowest);
    assert_eq!(threads.take(lowest), joined(grouped[1]));
    threads.close_group(group);
    threads.check();
    let named = threads.join_named(MAIN, &[grouped[0]]);
    turn(&mut threads, named);
    assert_eq!(threads.take(named), joined(grouped[0]));
}

#[test]
fn whoever_holds_a_handle_joins() {
    let (mut threads, tids) = family(2);
    let wait = threads.join_one(tids[0], tids[1]);
    assert!(!threads.all_wait(), "main and the child of the handle run");
    finish(&mut threads, tids[1]);
    let answered = threads.next_turn().expect("the turn of the holder");
    assert_eq!((answered.tid, answered.wait), (tids[0], Some(wait)));
    assert_eq!(threads.take(wait), joined(tids[1]));
    let (Child { tid: child, .. }, _) = threads.spawn(tids[0], Visibility::Shown, Place::Local);
    while threads.next_turn().is_some() {}
    let orphan = threads.join_one(MAIN, child);
    finish(&mut threads, tids[0]);
    turn(&mut threads, orphan);
    assert_eq!(threads.take(orphan), Some(Answer::Joined(None)));
}

#[test]
fn a_handle_that_lets_its_turn_pass_leaves_the_child_to_others() {
    for taken in [false, true] {
        let (mut threads, tids) = family(1);
        let handle = threads.join_one(MAIN, tids[0]);
        let any = threads.join_any(MAIN);
        finish(&mut threads, tids[0]);
        turn(&mut threads, handle);
        threads.turn_over(handle);
        threads.check();
        turn(&mut threads, any);
        if taken {
            assert_eq!(threads.take(any), joined(tids[0]));
            assert_eq!(threads.take(handle), Some(Answer::Joined(None)));
        } else {
            threads.withdraw(any);
            threads.check();
            assert_eq!(threads.take(handle), joined(tids[0]));
        }
        threads.check();
        assert_eq!(threads.take(handle), None);
    }
}

#[test]
fn all_wait_when_nobody_can_go_on() {
    let (mut threads, tids) = family(1);
    let first = threads.join_any(MAIN);
    assert!(!threads.all_wait(), "the child runs");
    let slot = threads.open_wait(tids[0]);
    threads.check();
    assert!(threads.all_wait());
    let second = threads.open_wait(tids[0]);
    threads.withdraw(slot);
    assert!(threads.all_wait(), "one of two waits is left");
    threads.resolve(second);
    assert!(!threads.all_wait());
    threads.next_turn();
    assert!(!threads.all_wait(), "its turn has come");
    threads.take(second);
    finish(&mut threads, tids[0]);
    assert!(!threads.all_wait());
    turn(&mut threads, first);
    threads.take(first);
    threads.check();
}

#[test]
fn who_is_cancelled_is_gone_with_all_descendants() {
    let (mut threads, tids) = family(2);
    let (Child { tid: child, .. }, _) = threads.spawn(tids[0], Visibility::Shown, Place::Local);
    while threads.next_turn().is_some() {}
    let any = threads.join_any(MAIN);
    let named = threads.join_one(MAIN, tids[0]);
    let orphans = threads.cancel(tids[0]);
    threads.check();
    let found: Vec<Tid> = orphans.iter().map(|orphan| orphan.tid).collect();
    assert_eq!(found, [tids[0], child]);
    turn(&mut threads, named);
    assert_eq!(threads.take(named), Some(Answer::Joined(None)));
    assert_eq!(threads.cancel(tids[1]).len(), 1);
    turn(&mut threads, any);
    assert_eq!(threads.take(any), Some(Answer::Joined(None)));
    threads.check();
    assert_eq!(threads.count(), 1);
}
