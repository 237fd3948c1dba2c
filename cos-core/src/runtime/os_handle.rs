//! `OsHandle`: an OS on a thread of its own, for synchronous and multi-threaded programs.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc as blocking;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, ThreadId};

use tokio::sync::mpsc;

use super::context;
use super::os::{Os, OsError};
use super::spawn::spawn;
use crate::dispatch::{DispatchError, dispatch, dispatch_single};
use crate::event::RunEvent;
use crate::job::{Job, TaskError, TaskLabel};
use crate::vm::VirtualMachine;

/// A running OS that any thread can give jobs to.
///
/// ```
/// use cos_core as cos;
/// use cos::vm::local::LocalVm;
///
/// #[cos::task]
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// # fn main() -> cos::Result<()> {
/// let os = cos::Os::start(LocalVm::in_process(2))?;
/// let squares = os.dispatch_blocking((1..=3).map(square::job));
/// assert_eq!(squares, [Ok(1), Ok(4), Ok(9)]);
/// os.shutdown();
/// # Ok(())
/// # }
/// ```
///
/// A program whose machine starts workers begins with [`worker::init`](crate::worker::init). The blocking calls may be made
/// from plain threads, from thread pools and from tasks of a tokio runtime, whose thread they block. When the last handle is
/// dropped the OS ends, as after [`shutdown`](Self::shutdown), without anybody waiting for it.
#[derive(Clone)]
pub struct OsHandle {
    os: Arc<Running>,
}

struct Running {
    /// Closed by a shutdown.
    requests: Mutex<Option<mpsc::UnboundedSender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    id: ThreadId,
}

/// What is done on the thread of the OS, in a microthread.
type Request = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// A job that was given to an OS by [`OsHandle::spawn_blocking`].
#[must_use = "a result that nobody waits for is lost"]
pub struct BlockingTask<T> {
    result: blocking::Receiver<Result<T, TaskError>>,
}

impl<T> BlockingTask<T> {
    /// Waits for the result.
    ///
    /// # Errors
    /// The task's own; [`TaskError::Cancelled`] when the OS was shut down.
    pub fn join(self) -> Result<T, TaskError> {
        self.result.recv().unwrap_or_else(|_| Err(cancelled()))
    }

    /// The result if it is there already.
    pub fn try_join(&self) -> Option<Result<T, TaskError>> {
        match self.result.try_recv() {
            Ok(result) => Some(result),
            Err(blocking::TryRecvError::Empty) => None,
            Err(blocking::TryRecvError::Disconnected) => Some(Err(cancelled())),
        }
    }
}

fn cancelled() -> TaskError {
    TaskError::Cancelled {
        task: TaskLabel::default(),
        end: None,
    }
}

impl Os {
    /// Starts an OS with this machine on a thread of its own, and returns when it runs; the hosts are connected in the
    /// background.
    ///
    /// # Errors
    /// [`OsError::Io`] when the operating system gives no thread or no event queue.
    pub fn start(machine: impl VirtualMachine + Send + 'static) -> Result<OsHandle, OsError> {
        let (requests, received) = mpsc::unbounded_channel();
        let (started, start) = blocking::channel();
        let thread = std::thread::Builder::new()
            .name("cos-os".to_owned())
            .spawn(move || {
                let running = started.clone();
                let main = async move {
                    let _ = running.send(Ok(()));
                    drop(running);
                    serve(received).await;
                };
                if let Err(error) = Self::new().vm(machine).block_on(main) {
                    let _ = started.send(Err(error));
                }
            })?;
        let id = thread.thread().id();
        let ended = || Err(std::io::Error::other("its thread has ended").into());
        start.recv().unwrap_or_else(|_| ended())?;
        Ok(OsHandle {
            os: Arc::new(Running {
                requests: Mutex::new(Some(requests)),
                thread: Mutex::new(Some(thread)),
                id,
            }),
        })
    }
}

/// The program of such an OS: a microthread for each request, until no more can come.
async fn serve(mut requests: mpsc::UnboundedReceiver<Request>) {
    while let Some(request) = requests.recv().await {
        if let Ok(handle) = spawn(request()).await {
            handle.detach();
        }
    }
}

impl OsHandle {
    /// Runs jobs on the hosts, and waits for all of them. Gives every result, good or bad, in the order of the jobs; those that a
    /// shutdown has cut off are [`TaskError::Cancelled`]. Several threads may have jobs run at the same time.
    ///
    /// # Panics
    /// On the thread of the OS itself, as in an observer: it would wait for itself.
    pub fn dispatch_blocking<T, X>(
        &self,
        jobs: impl IntoIterator<Item = Job<T, X>>,
    ) -> Vec<Result<T, TaskError>>
    where
        T: Send + 'static,
        X: Send + 'static,
    {
        self.check_thread();
        let jobs: Vec<Job<T, X>> = jobs.into_iter().collect();
        let count = jobs.len();
        let (sender, receiver) = blocking::channel();
        self.request(move || async move {
            if let Ok(results) = dispatch(jobs).collect_all().await {
                let _ = sender.send(results);
            }
        });
        let cut_off = || (0..count).map(|_| Err(cancelled())).collect();
        receiver.recv().unwrap_or_else(|_| cut_off())
    }

    /// Gives a job to the OS and returns at once; it runs when a slot is free.
    pub fn spawn_blocking<T, X>(&self, job: Job<T, X>) -> BlockingTask<T>
    where
        T: Send + 'static,
        X: Send + 'static,
    {
        let (sender, result) = blocking::channel();
        self.request(move || async move {
            let result = match dispatch_single(job).await {
                Err(DispatchError::Single(error) | DispatchError::Job { error, .. }) => Err(error),
                Err(DispatchError::NoOs(_)) => return,
                Ok(value) => Ok(value),
            };
            let _ = sender.send(result);
        });
        BlockingTask { result }
    }

    /// Shows every event from now on to `observer`, in order, on the thread of the OS.
    pub fn observe(&self, mut observer: impl FnMut(&RunEvent) + Send + 'static) {
        self.request(move || async move {
            let added = context::current();
            if let Ok(os) = added {
                os.add_observer(Box::new(move |stamped| observer(&stamped.event)));
            }
        });
    }

    /// Ends the OS and everything on its hosts, and waits until they have confirmed that nothing is left, or the limit for
    /// that has passed. Jobs under way are cancelled. Further calls find an OS that has ended.
    ///
    /// # Panics
    /// On the thread of the OS itself; and with the panic of the OS, should it have had one.
    pub fn shutdown(&self) {
        self.check_thread();
        drop(lock(&self.os.requests).take());
        let thread = lock(&self.os.thread).take();
        if let Some(Err(panic)) = thread.map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }

    /// Has something done in a microthread, unless the OS has ended.
    fn request<F>(&self, request: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        if let Some(requests) = &*lock(&self.os.requests) {
            let _ = requests.send(Box::new(move || Box::pin(request())));
        }
    }

    #[expect(clippy::panic, reason = "documented: anything else would hang")]
    fn check_thread(&self) {
        if std::thread::current().id() == self.os.id {
            panic!(
                "a blocking call on the OS's own thread would wait for itself: use dispatch or spawn there"
            );
        }
    }
}

impl std::fmt::Debug for OsHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OsHandle").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
