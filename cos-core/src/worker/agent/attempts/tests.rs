//! Queues and lanes, without a process.

use super::*;
use crate::ids::{Epoch, TaskId};
use crate::job::{Call, CommandJob};

fn attempt(task: u64) -> AttemptId {
    AttemptId {
        task: TaskId(task),
        epoch: Epoch::FIRST,
    }
}

fn waiting(task: u64, cores: u32) -> Waiting {
    Waiting {
        attempt: attempt(task),
        try_number: 1,
        amounts: Amounts::cores(cores),
        work: Box::new(CommandJob::shell(task, "true").into()),
        more_arguments: 0,
    }
}

fn started(attempts: &mut Attempts) -> Vec<(u32, u64)> {
    std::iter::from_fn(|| attempts.start_next())
        .map(|(slot, it)| (slot.0, it.attempt.task.0))
        .collect()
}

#[test]
fn attempts_start_in_order_in_the_lowest_slot() {
    let mut attempts = Attempts::new(Amounts::cores(2));
    for task in 1..=4 {
        attempts.push(waiting(task, 1)).unwrap();
    }
    assert_eq!(started(&mut attempts), [(1, 1), (2, 2)]);
    assert_eq!(attempts.end(attempt(2), None), AfterEnd::Idle);
    assert_eq!(started(&mut attempts), [(2, 3)]);
    assert_eq!(attempts.end(attempt(1), None), AfterEnd::Idle);
    assert_eq!(started(&mut attempts), [(1, 4)]);
    assert_eq!(attempts.end(attempt(1), None), AfterEnd::Unknown);
}

#[test]
fn several_cores_are_one_slot_and_are_not_overtaken() {
    let mut attempts = Attempts::new(Amounts::cores(4));
    for (task, cores) in [(1, 3), (2, 2), (3, 1)] {
        attempts.push(waiting(task, cores)).unwrap();
    }
    assert_eq!(started(&mut attempts), [(1, 1)]);
    attempts.end(attempt(1), None);
    assert_eq!(started(&mut attempts), [(1, 2), (2, 3)]);
    assert_eq!(attempts.running_count(), 2);
    let slot_of = |task| attempts.slot_of(attempt(task));
    assert_eq!(slot_of(2), Some((SlotId(1), SlotKind::Command)));
    assert_eq!(slot_of(3), Some((SlotId(2), SlotKind::Command)));
}

#[test]
fn what_can_never_run_is_refused() {
    let mut attempts = Attempts::new(Amounts::cores(2));
    let refused = Err(Refused::TooLarge(Amounts::cores(2)));
    assert_eq!(attempts.push(waiting(1, 3)), refused);
    attempts.push(waiting(2, 1)).unwrap();
    assert_eq!(started(&mut attempts), [(1, 2)]);
    assert_eq!(attempts.push(waiting(2, 1)), Err(Refused::Known));
}

#[test]
fn only_what_waits_is_withdrawn() {
    let mut attempts = Attempts::new(Amounts::cores(1));
    for task in 1..=3 {
        attempts.push(waiting(task, 1)).unwrap();
    }
    assert_eq!(started(&mut attempts), [(1, 1)]);
    assert_eq!(attempts.withdraw(attempt(1)), Found::Nowhere);
    assert_eq!(attempts.withdraw(attempt(2)), Found::Waiting);
    assert_eq!(attempts.withdraw_all().len(), 1);
}

#[test]
fn a_queue_has_an_end() {
    let mut attempts = Attempts::new(Amounts::cores(1));
    for task in 0..QUEUE_LIMIT as u64 {
        attempts.push(waiting(task, 1)).unwrap();
    }
    assert_eq!(attempts.push(waiting(0, 1)), Err(Refused::TooMany));
}

fn call(task: u64) -> Waiting {
    let call = Call {
        task: "tool::double".into(),
        fingerprint: 1,
        arguments: Default::default(),
    };
    Waiting {
        work: Box::new(call.into()),
        ..waiting(task, 1)
    }
}

/// Two slots that have run short calls: the first runs `1`, the second `2`, and so many more wait.
fn short_calls(more: u64) -> Attempts {
    let mut attempts = Attempts::new(Amounts::cores(2));
    for task in [101, 102] {
        attempts.push(call(task)).unwrap();
    }
    started(&mut attempts);
    for task in [101, 102] {
        attempts.end(attempt(task), Some(Duration::from_micros(10)));
    }
    for task in 1..=2 + more {
        attempts.push(call(task)).unwrap();
    }
    assert_eq!(started(&mut attempts), [(1, 1), (2, 2)]);
    attempts
}

fn sent_ahead(attempts: &mut Attempts) -> Vec<(u32, u64)> {
    let mut sent = Vec::new();
    while let Some((slot, waiting)) = attempts.send_ahead() {
        sent.push((slot.0, waiting.attempt.task.0));
    }
    sent
}

#[test]
fn short_calls_lie_in_the_slots_before_their_turn() {
    let mut attempts = short_calls(3);
    assert_eq!(sent_ahead(&mut attempts), [(1, 3), (2, 4), (1, 5)]);
    let after = attempts.end(attempt(1), Some(Duration::from_micros(10)));
    assert_eq!(after, AfterEnd::Next(attempt(3)));
    assert_eq!(attempts.running_count(), 2);
    attempts.end(attempt(3), None);
    assert_eq!(attempts.end(attempt(5), None), AfterEnd::Idle);
    assert_eq!(attempts.running_count(), 1);
}

#[test]
fn nothing_goes_ahead_before_a_call_has_shown_that_it_is_short() {
    let mut attempts = Attempts::new(Amounts::cores(1));
    for task in 1..=3 {
        attempts.push(call(task)).unwrap();
    }
    started(&mut attempts);
    assert_eq!(sent_ahead(&mut attempts), []);
    attempts.end(attempt(1), Some(Duration::from_secs(1)));
    started(&mut attempts);
    assert_eq!(sent_ahead(&mut attempts), []);
}

#[test]
fn neither_another_kind_nor_other_amounts_nor_long_arguments_go_ahead() {
    let large = Waiting {
        amounts: Amounts::cores(2),
        ..call(3)
    };
    let arguments = Call {
        task: "tool::double".into(),
        fingerprint: 1,
        arguments: vec![0; 5000].into(),
    };
    let long = Waiting {
        work: Box::new(arguments.into()),
        ..call(3)
    };
    let longer = Waiting {
        more_arguments: 1,
        ..call(3)
    };
    for first in [waiting(3, 1), large, long, longer] {
        let mut attempts = short_calls(0);
        attempts.push(first).unwrap();
        attempts.push(call(4)).unwrap();
        assert_eq!(sent_ahead(&mut attempts), []);
    }
}

/// Two slots that run commands, after one in each that took so long, and so many more wait.
fn commands(elapsed: Duration, more: u64) -> Attempts {
    let mut attempts = Attempts::new(Amounts::cores(2));
    for task in [101, 102] {
        attempts.push(waiting(task, 1)).unwrap();
    }
    started(&mut attempts);
    for task in [101, 102] {
        attempts.end(attempt(task), Some(elapsed));
    }
    for task in 1..=2 + more {
        attempts.push(waiting(task, 1)).unwrap();
    }
    assert_eq!(started(&mut attempts), [(1, 1), (2, 2)]);
    attempts
}

#[test]
fn short_commands_go_ahead_as_calls_do() {
    let mut attempts = commands(Duration::from_millis(1), 20);
    assert!(!attempts.is_saturated());
    let sent = sent_ahead(&mut attempts);
    assert_eq!(sent[..3], [(1, 3), (2, 4), (1, 5)]);
    // Five milliseconds of work in each of the slots.
    assert_eq!(sent.len(), 10);
    assert!(attempts.is_saturated());
    let after = attempts.end(attempt(1), Some(Duration::from_millis(1)));
    assert_eq!(after, AfterEnd::Next(attempt(3)));
    let mut attempts = commands(Duration::from_millis(50), 20);
    assert_eq!(sent_ahead(&mut attempts), []);
}

#[test]
fn slots_that_run_out_soon_are_not_left_alone() {
    let mut attempts = commands(Duration::from_millis(1), 4);
    sent_ahead(&mut attempts);
    // Two milliseconds lie in each.
    assert!(!attempts.is_saturated());
    let mut attempts = commands(Duration::from_millis(1), 10);
    sent_ahead(&mut attempts);
    assert!(attempts.is_saturated());
    for task in 3..=6 {
        attempts.withdraw(attempt(task));
    }
    assert!(attempts.is_saturated());
    for task in 7..=8 {
        attempts.withdraw(attempt(task));
    }
    assert!(!attempts.is_saturated(), "what was asked back may be gone");
}

#[test]
fn neither_long_commands_nor_those_in_directories_of_their_own_go_ahead() {
    let long = CommandJob::shell(3, vec![b'x'; 5000]);
    let private = CommandJob {
        directory: crate::job::JobDirectory::Private,
        ..CommandJob::shell(3, "true")
    };
    for command in [long, private] {
        let mut attempts = commands(Duration::from_millis(1), 0);
        let first = Waiting {
            work: Box::new(command.into()),
            ..waiting(3, 1)
        };
        attempts.push(first).unwrap();
        attempts.push(waiting(4, 1)).unwrap();
        assert_eq!(sent_ahead(&mut attempts), []);
    }
}

#[test]
fn an_idle_slot_gets_half_of_what_lies_in_another() {
    let mut attempts = short_calls(8);
    sent_ahead(&mut attempts);
    for task in [2, 4, 6, 8, 10] {
        attempts.end(attempt(task), None);
    }
    let asked = attempts.ask_back();
    assert_eq!(asked, [(SlotId(1), attempt(9)), (SlotId(1), attempt(7))]);
    assert_eq!(attempts.ask_back(), []);
    // One of them has begun meanwhile, and so have those before it.
    assert_eq!(attempts.returned(SlotId(1), attempt(9)), Returned::Queued);
    assert_eq!(started(&mut attempts), [(2, 9)]);
    for task in [1, 3, 5] {
        attempts.end(attempt(task), None);
    }
    assert_eq!(attempts.end(attempt(7), None), AfterEnd::Idle);
    assert_eq!(attempts.ask_back(), []);
}

#[test]
fn what_lies_behind_a_long_call_waits_again() {
    let mut attempts = short_calls(5);
    assert_eq!(sent_ahead(&mut attempts).len(), 5);
    assert!(attempts.has_ahead());
    assert_eq!(attempts.ask_back_stuck(), []);
    attempts.end(attempt(2), None);
    let asked = attempts.ask_back_stuck();
    let expected: Vec<_> = [7, 5, 3].map(|task| (SlotId(1), attempt(task))).into();
    assert_eq!(asked, expected);
    for task in [7, 5, 3] {
        attempts.returned(SlotId(1), attempt(task));
    }
    // The other slot has been looked at, too, and shows by an end that it goes on.
    assert_eq!(sent_ahead(&mut attempts), []);
    attempts.end(attempt(4), None);
    assert_eq!(sent_ahead(&mut attempts), [(2, 3), (2, 5), (2, 7)]);
}

#[test]
fn the_client_and_a_stop_find_what_lies_in_a_slot() {
    let mut attempts = short_calls(3);
    sent_ahead(&mut attempts);
    assert_eq!(attempts.withdraw(attempt(3)), Found::InSlot(SlotId(1)));
    assert_eq!(attempts.returned(SlotId(1), attempt(3)), Returned::ToClient);
    assert_eq!(attempts.find_to_stop(attempt(5)), Found::InSlot(SlotId(1)));
    assert_eq!(attempts.end(attempt(5), None), AfterEnd::HadNotBegun);
    assert_eq!(attempts.end(attempt(1), None), AfterEnd::Idle);
    assert_eq!(attempts.returned(SlotId(1), attempt(3)), Returned::Unknown);
}

#[test]
fn a_slot_that_ends_gives_back_in_order_and_gets_nothing_more() {
    let mut attempts = short_calls(4);
    sent_ahead(&mut attempts);
    attempts.leaving(SlotId(1), SlotKind::Command);
    assert_eq!(
        attempts.slot_of(attempt(3)),
        Some((SlotId(1), SlotKind::Call))
    );
    attempts.leaving(SlotId(1), SlotKind::Call);
    attempts.push(call(7)).unwrap();
    assert_eq!(sent_ahead(&mut attempts), [(2, 3), (2, 5), (2, 7)]);
    assert_eq!(attempts.end(attempt(1), None), AfterEnd::Idle);
}

#[test]
fn what_was_lent_is_free_until_it_goes_on() {
    let mut attempts = Attempts::new(Amounts::cores(1));
    for task in 1..=3 {
        attempts.push(waiting(task, 1)).unwrap();
    }
    assert_eq!(started(&mut attempts), [(1, 1)]);
    assert_eq!(attempts.lend(attempt(1)), []);
    assert_eq!(attempts.lend(attempt(1)), [], "once is enough");
    assert_eq!(started(&mut attempts), [(2, 2)], "its slot is its own");
    assert_eq!(attempts.running_count(), 1);
    attempts.end(attempt(2), None);
    attempts.resume(attempt(1));
    attempts.resume(attempt(1));
    assert_eq!(started(&mut attempts), []);
    attempts.end(attempt(1), None);
    assert_eq!(started(&mut attempts), [(1, 3)]);
}

#[test]
fn what_ends_while_it_is_lent_frees_nothing_twice() {
    let mut attempts = Attempts::new(Amounts::cores(1));
    for task in 1..=3 {
        attempts.push(waiting(task, 1)).unwrap();
    }
    started(&mut attempts);
    attempts.lend(attempt(1));
    assert_eq!(started(&mut attempts), [(2, 2)]);
    assert_eq!(attempts.end(attempt(1), None), AfterEnd::Idle);
    assert_eq!(started(&mut attempts), [], "the second has the only core");
    attempts.end(attempt(2), None);
    assert_eq!(started(&mut attempts), [(1, 3)]);
}
