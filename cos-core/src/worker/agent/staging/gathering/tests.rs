//! Attempts and contents, with a disk and a client that are played.

use super::*;
use crate::ids::{Epoch, TaskId};
use crate::job::{Amounts, CommandJob};

fn attempt(task: u64) -> AttemptId {
    AttemptId {
        task: TaskId(task),
        epoch: Epoch::FIRST,
    }
}

fn waiting(task: u64) -> Waiting {
    Waiting {
        attempt: attempt(task),
        try_number: 1,
        amounts: Amounts::cores(1),
        work: Box::new(CommandJob::shell(task, "true").into()),
        more_arguments: 0,
    }
}

fn digest(content: &str) -> Digest {
    Digest::of(content.as_bytes())
}

fn input(content: &str, once: bool) -> InputFile {
    InputFile {
        digest: digest(content),
        size: content.len() as u64,
        mode: 0o644,
        path: Suffix::of(content).unwrap(),
        once,
    }
}

fn request(inputs: &[InputFile]) -> StageRequest {
    StageRequest {
        inputs: inputs.to_vec(),
        ..StageRequest::default()
    }
}

fn effects(gathering: &mut Gathering) -> Vec<Effect> {
    std::iter::from_fn(|| gathering.next_effect()).collect()
}

fn stage(gathering: &mut Gathering, task: u64, inputs: &[InputFile]) -> Vec<Effect> {
    gathering.stage(
        attempt(task),
        &request(inputs),
        PathBuf::from("/run"),
        false,
    );
    gathering.hold(waiting(task));
    effects(gathering)
}

fn find(content: &str) -> Effect {
    let (digest, size) = (digest(content), content.len() as u64);
    Effect::Do(Task::Find { digest, size })
}

fn place(task: u64, input: &InputFile) -> Effect {
    Effect::Do(Task::Place {
        attempt: attempt(task),
        input: input.clone(),
        directory: PathBuf::from("/run"),
    })
}

fn release(content: &str) -> Effect {
    let digest = digest(content);
    Effect::Do(Task::Release { digest })
}

#[test]
fn many_attempts_wait_for_one_transfer() {
    let mut gathering = Gathering::default();
    let common = input("common", true);
    assert_eq!(
        stage(&mut gathering, 1, std::slice::from_ref(&common)),
        [find("common")]
    );
    assert_eq!(stage(&mut gathering, 2, std::slice::from_ref(&common)), []);
    gathering.found(digest("common"), Ok(Found::Until(2)));
    let want = FromStaging::Want {
        digest: digest("common"),
        offset: 2,
    };
    assert_eq!(effects(&mut gathering), [Effect::Say(want)]);
    assert!(gathering.expects(digest("common")));
    assert_eq!(stage(&mut gathering, 3, std::slice::from_ref(&common)), []);
    gathering.appended(digest("common"), Progress::More);
    assert_eq!(effects(&mut gathering), []);
    gathering.appended(digest("common"), Progress::Whole);
    let mut expected: Vec<_> = (1..=3).map(|task| place(task, &common)).collect();
    expected.push(release("common"));
    assert_eq!(effects(&mut gathering), expected);
    for task in 1..=3 {
        gathering.placed(attempt(task), common.clone(), Ok(()));
        assert_eq!(effects(&mut gathering), [Effect::Ready(waiting(task))]);
    }
    // It lies in the run's directory: nothing is looked for any more.
    assert_eq!(
        stage(&mut gathering, 4, std::slice::from_ref(&common)),
        [Effect::Ready(waiting(4))]
    );
}

#[test]
fn an_attempt_starts_when_everything_is_in_place() {
    let mut gathering = Gathering::default();
    let (a, b) = (input("a", false), input("b", false));
    gathering.stage(
        attempt(1),
        &request(&[a.clone(), b.clone()]),
        PathBuf::from("/run"),
        true,
    );
    let made = Effect::Do(Task::MakeDirectory {
        attempt: attempt(1),
        path: PathBuf::from("/run"),
    });
    assert_eq!(effects(&mut gathering), [made, find("a"), find("b")]);
    gathering.made_directory(attempt(1), Ok(()));
    gathering.found(digest("b"), Ok(Found::Whole));
    gathering.found(digest("a"), Ok(Found::Whole));
    gathering.placed(attempt(1), b, Ok(()));
    gathering.placed(attempt(1), a, Ok(()));
    let mut all = effects(&mut gathering);
    assert!(!all.iter().any(|effect| matches!(effect, Effect::Ready(_))));
    gathering.hold(waiting(1));
    all = effects(&mut gathering);
    assert_eq!(all, [Effect::Ready(waiting(1))]);
    assert!(!gathering.knows(attempt(1)));
}

#[test]
fn what_cannot_come_fails_those_who_wait_for_it_alone() {
    let mut gathering = Gathering::default();
    stage(&mut gathering, 1, &[input("a", false), input("b", false)]);
    stage(&mut gathering, 2, &[input("b", false)]);
    gathering.unavailable(digest("a"), "it changed");
    let failed = Effect::Failed {
        attempt: attempt(1),
        fault: Fault::Job("it changed".to_owned()),
    };
    assert_eq!(effects(&mut gathering), [release("a"), failed]);
    gathering.found(digest("b"), Ok(Found::Whole));
    // The one that has failed gets nothing more.
    assert_eq!(
        effects(&mut gathering),
        [place(2, &input("b", false)), release("b")]
    );
    // A fault that is known before the start has come waits for it.
    gathering.stage(
        attempt(3),
        &request(&[input("c", false)]),
        PathBuf::new(),
        false,
    );
    gathering.found(digest("c"), Err("disk full".to_owned()));
    effects(&mut gathering);
    gathering.hold(waiting(3));
    let fault = Fault::Host("staging: disk full".to_owned());
    let failed = Effect::Failed {
        attempt: attempt(3),
        fault,
    };
    assert_eq!(effects(&mut gathering), [failed]);
}

#[test]
fn a_damaged_rest_of_an_earlier_transfer_is_sent_again_once() {
    let mut gathering = Gathering::default();
    stage(&mut gathering, 1, &[input("abc", false)]);
    gathering.found(digest("abc"), Ok(Found::Until(1)));
    effects(&mut gathering);
    gathering.appended(digest("abc"), Progress::Mismatch);
    assert_eq!(effects(&mut gathering), [find("abc")]);
    gathering.found(digest("abc"), Ok(Found::Until(0)));
    effects(&mut gathering);
    gathering.appended(digest("abc"), Progress::Mismatch);
    let failed = effects(&mut gathering).pop();
    assert!(matches!(
        failed,
        Some(Effect::Failed {
            fault: Fault::Job(_),
            ..
        })
    ));
}

#[test]
fn what_is_taken_back_is_neither_placed_nor_started() {
    let mut gathering = Gathering::default();
    stage(&mut gathering, 1, &[input("a", false)]);
    assert_eq!(gathering.withdraw(attempt(1)), Some(waiting(1)));
    assert_eq!(gathering.withdraw(attempt(1)), None);
    gathering.found(digest("a"), Ok(Found::Whole));
    assert_eq!(effects(&mut gathering), [release("a")]);
}

#[test]
fn few_contents_are_looked_for_at_the_same_time() {
    let mut gathering = Gathering::default();
    let names: Vec<String> = (0..3 * MAX_ACTIVE).map(|n| format!("file{n}")).collect();
    let inputs: Vec<_> = names.iter().map(|name| input(name, false)).collect();
    assert_eq!(stage(&mut gathering, 1, &inputs).len(), MAX_ACTIVE);
    for (done, name) in names.iter().enumerate() {
        gathering.found(digest(name), Ok(Found::Whole));
        let all = effects(&mut gathering);
        let found = all
            .iter()
            .filter(|it| matches!(it, Effect::Do(Task::Find { .. })));
        let left = names.len() - MAX_ACTIVE - done.min(names.len() - MAX_ACTIVE);
        assert_eq!(found.count(), left.min(1), "{done}");
    }
    for input in inputs {
        gathering.placed(attempt(1), input, Ok(()));
    }
    assert_eq!(effects(&mut gathering), [Effect::Ready(waiting(1))]);
}
