//! How the call that runs reaches its spawner: over the agent, by the I/O thread.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::shared::Shared;
use crate::ids::AttemptId;
use crate::runtime::spawner::{Heard, Line, Said};
use crate::worker::slot::protocol::FromSlot;

/// The line of one call.
pub(super) struct SlotLine {
    shared: Arc<Shared>,
    attempt: AttemptId,
}

impl SlotLine {
    pub(super) fn new(shared: &Arc<Shared>, attempt: AttemptId) -> Self {
        let shared = Arc::clone(shared);
        Self { shared, attempt }
    }
}

impl Line for SlotLine {
    fn say(&mut self, said: Said) {
        let attempt = self.attempt;
        match said {
            Said::Told(bytes) => self.shared.say(&FromSlot::Told { attempt }, &bytes),
            Said::Lent => self.shared.say(&FromSlot::Lent { attempt }, &[]),
            Said::Wanted => self.shared.say(&FromSlot::Wanted { attempt }, &[]),
        }
    }

    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<Heard> {
        self.shared.lock().poll_heard(self.attempt, context)
    }
}
