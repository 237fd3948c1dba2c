//! Panics in a program whose panics abort (`panic = "abort"` in its profile).
//!
//! Nothing can be told after such a panic, so it is told by the hook, before the process ends. Other programs catch the
//! panics of their tasks, and need nothing of this.

use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use crate::job::CallFailure;
use crate::panics;
use crate::wire::frame::CHUNK;

/// How often a panic is tried to be told, once a millisecond: the other thread holds the lock for far less. A panic of a
/// thread that holds it itself is a bug of ours, and is not told.
const TRIES: u32 = 100;

/// Tells the agent of every panic from now on. Standard error gets it first, as in any program.
pub(super) fn watch(shared: &Arc<Shared>) {
    if cfg!(panic = "unwind") {
        return;
    }
    let before = std::panic::take_hook();
    let shared = Arc::clone(shared);
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        tell(&shared, panic);
    }));
}

fn tell(shared: &Shared, panic: &PanicHookInfo<'_>) {
    for _ in 0..TRIES {
        if let Some(mut state) = shared.try_lock() {
            let failure = CallFailure::Panicked {
                message: panics::message(panic.payload()),
                location: panic.location().map(ToString::to_string),
            };
            return state.abandon(&shared.outputs, failure, &mut vec![0; CHUNK]);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
