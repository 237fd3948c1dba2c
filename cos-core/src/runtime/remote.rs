//! Remote microthreads: which task each has, how far it has come, and how its value is made of its outcome.

use std::any::{Any, type_name};
use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{HostId, TaskId, Tid};
use crate::job::{CommandOutput, Finish, Outcome, Stream, TaskAt, TaskError, TaskLabel};
use crate::kernel::id_map::IdMap;
use crate::kernel::microthread::WaitId;

/// The tasks that belong to microthreads.
#[derive(Default)]
pub(super) struct RemoteTasks {
    tasks: IdMap<TaskId, RemoteTask>,
}

/// A task that has no outcome yet.
pub(super) struct RemoteTask {
    pub(super) tid: Tid,
    pub(super) progress: Progress,
    /// The output that its caller wants.
    captured: Option<CommandOutput>,
    result: Box<dyn RemoteResult>,
}

/// How far a task has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// It waits for a host, and so does whoever has spawned it, by this wait.
    Queued {
        caller: Option<WaitId>,
        target: Option<HostId>,
    },
    /// It was handed to this host.
    Handed { host: HostId },
}

impl RemoteTask {
    pub(super) fn new(
        tid: Tid,
        caller: Option<WaitId>,
        target: Option<HostId>,
        captures: bool,
        result: Box<dyn RemoteResult>,
    ) -> Self {
        Self {
            tid,
            progress: Progress::Queued { caller, target },
            captured: captures.then(CommandOutput::default),
            result,
        }
    }

    /// The wait of its spawner, who waits for it to be handed over.
    pub(super) fn waiting_caller(&self) -> Option<WaitId> {
        match self.progress {
            Progress::Queued { caller, .. } => caller,
            Progress::Handed { .. } => None,
        }
    }

    /// What to call it.
    pub(super) fn name(&self) -> &'static str {
        self.result.name().unwrap_or("command")
    }

    /// What it is called in errors.
    pub(super) fn label(&self, id: TaskId) -> TaskLabel {
        TaskLabel::maybe(self.result.name(), id.0)
    }

    /// The outcome is there.
    pub(super) fn end(
        self,
        task: TaskId,
        outcome: Outcome,
        host: Option<(HostId, Arc<str>)>,
        tries: u32,
    ) -> RemoteEnding {
        let captured = self.captured.unwrap_or_default();
        RemoteEnding {
            task,
            host,
            tries,
            ended: Some((outcome, captured)),
            result: self.result,
        }
    }
}

impl RemoteTasks {
    pub(super) fn insert(&mut self, id: TaskId, task: RemoteTask) {
        self.tasks.insert(id, task);
    }

    pub(super) fn remove(&mut self, id: TaskId) -> Option<RemoteTask> {
        self.tasks.remove(&id)
    }

    pub(super) fn get(&self, id: TaskId) -> Option<&RemoteTask> {
        self.tasks.get(&id)
    }

    /// A task was handed to a host. Gives the wait of whoever waits for that.
    pub(super) fn handed(&mut self, id: TaskId, host: HostId) -> Option<WaitId> {
        let task = self.tasks.get_mut(&id)?;
        let before = std::mem::replace(&mut task.progress, Progress::Handed { host });
        match before {
            Progress::Queued { caller, .. } => caller,
            Progress::Handed { .. } => None,
        }
    }

    /// Keeps output for a task that wants it.
    pub(super) fn capture(&mut self, id: TaskId, stream: Stream, bytes: &Bytes) {
        if let Some(task) = self.tasks.get_mut(&id)
            && let Some(captured) = &mut task.captured
        {
            match stream {
                Stream::Stdout => captured.stdout.extend_from_slice(bytes),
                Stream::Stderr => captured.stderr.extend_from_slice(bytes),
            }
        }
    }

    /// Forgets the output of an attempt whose task runs again.
    pub(super) fn again(&mut self, id: TaskId) {
        if let Some(task) = self.tasks.get_mut(&id)
            && let Some(captured) = &mut task.captured
        {
            *captured = CommandOutput::default();
        }
    }

    /// Takes all of them out, the oldest first.
    pub(super) fn drain(&mut self) -> Vec<(TaskId, RemoteTask)> {
        let mut tasks: Vec<_> = self.tasks.drain().collect();
        tasks.sort_unstable_by_key(|(id, _)| *id);
        tasks
    }
}

/// Makes the value of a remote task, of a type that only its spawner knows.
pub(crate) trait RemoteResult {
    /// The name of the typed task, with the path of its module.
    fn name(&self) -> Option<&'static str>;

    /// Puts the value into `into`, an `Option` of its type; false when it is of another type.
    fn make(
        &self,
        outcome: Outcome,
        captured: CommandOutput,
        at: &dyn Fn() -> TaskAt,
        into: &mut dyn Any,
    ) -> Result<bool, TaskError>;

    /// The type of the value.
    fn value_type(&self) -> &'static str;
}

/// How the values of one kind of job are made.
pub(crate) struct JobResult<T> {
    pub(crate) finish: Finish<T>,
    pub(crate) name: Option<&'static str>,
}

impl<T: 'static> RemoteResult for JobResult<T> {
    fn name(&self) -> Option<&'static str> {
        self.name
    }

    fn make(
        &self,
        outcome: Outcome,
        captured: CommandOutput,
        at: &dyn Fn() -> TaskAt,
        into: &mut dyn Any,
    ) -> Result<bool, TaskError> {
        let Some(into) = into.downcast_mut::<Option<T>>() else {
            return Ok(false);
        };
        *into = Some((self.finish)(outcome, captured, at)?);
        Ok(true)
    }

    fn value_type(&self) -> &'static str {
        type_name::<T>()
    }
}

/// What a remote microthread has ended with. The value is made when it is joined, by whoever joins it: decoding is the
/// program's own code.
pub(crate) struct RemoteEnding {
    pub(crate) task: TaskId,
    host: Option<(HostId, Arc<str>)>,
    pub(crate) tries: u32,
    ended: Option<(Outcome, CommandOutput)>,
    result: Box<dyn RemoteResult>,
}

impl RemoteEnding {
    pub(crate) fn host(&self) -> Option<HostId> {
        self.host.as_ref().map(|(host, _)| *host)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.result.name().unwrap_or("command")
    }

    pub(crate) fn value_type(&self) -> &'static str {
        self.result.value_type()
    }

    /// Puts the value into `into`, an `Option` of its type; false when it is of another type.
    pub(crate) fn take(&mut self, into: &mut dyn Any) -> Result<bool, TaskError> {
        let Some((outcome, captured)) = self.ended.take() else {
            return Ok(true);
        };
        let at = || TaskAt {
            task: TaskLabel::maybe(self.result.name(), self.task.0),
            host: self
                .host
                .as_ref()
                .map_or_else(String::new, |(_, name)| name.as_ref().to_owned()),
        };
        self.result.make(outcome, captured, &at, into)
    }
}
