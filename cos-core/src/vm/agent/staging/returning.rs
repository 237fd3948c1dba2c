//! What attempts give back: directories and files, under the names that were asked for and no others.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cos_storage::Suffix;

use super::depot::Reply;
use super::{Attempt, Phase, SessionStaging};
use crate::ids::AttemptId;
use crate::job::Staging;

impl SessionStaging {
    /// An attempt gives back a directory. An error breaks the protocol.
    pub(in crate::vm::agent) fn directory(
        &mut self,
        attempt: AttemptId,
        path: Suffix,
    ) -> Result<(), String> {
        let Some(staging) = self.asked(attempt, &path)? else {
            return Ok(());
        };
        if let Some(depot) = &self.depot {
            depot.directory(attempt, Arc::clone(&staging.root), path);
        }
        Ok(())
    }

    /// An attempt gives back a file. An error breaks the protocol.
    pub(in crate::vm::agent) fn file(
        &mut self,
        attempt: AttemptId,
        path: Suffix,
        mode: u32,
    ) -> Result<(), String> {
        let Some(staging) = self.asked(attempt, &path)? else {
            return Ok(());
        };
        if let Some(depot) = &self.depot {
            // No set-user-id and the like, whatever the host says.
            depot.begin(attempt, Arc::clone(&staging.root), path, mode & 0o777);
        }
        Ok(())
    }

    /// A piece of the file that an attempt gives back. An error breaks the protocol.
    pub(in crate::vm::agent) fn file_piece(
        &mut self,
        attempt: AttemptId,
        bytes: &Bytes,
    ) -> Result<(), String> {
        let left = self.file_window.checked_sub(bytes.len() as u64);
        self.file_window = left.ok_or("more of a returned file than was granted")?;
        let is_known = self.attempts.contains_key(&attempt);
        if let Some(depot) = self.depot.as_ref().filter(|_| is_known) {
            // A copy: the payload is part of a larger piece of what was read, which would be kept.
            depot.write(attempt, Bytes::copy_from_slice(bytes));
        } else {
            self.note(Reply::Written {
                bytes: bytes.len() as u64,
            });
        }
        Ok(())
    }

    /// The file that an attempt gives back is whole.
    pub(in crate::vm::agent) fn file_end(&mut self, attempt: AttemptId) {
        let is_known = self.attempts.contains_key(&attempt);
        if let Some(depot) = self.depot.as_ref().filter(|_| is_known) {
            depot.finish(attempt);
        }
    }

    /// Nothing lands under a name that was not asked for. `None` for an attempt that gives nothing back any more.
    fn asked(&self, attempt: AttemptId, path: &Suffix) -> Result<Option<Arc<Staging>>, String> {
        let Some(Attempt {
            staging,
            phase: Phase::Staged,
            ..
        }) = self.attempts.get(&attempt)
        else {
            return Ok(None);
        };
        let path_of: &Path = path.as_path();
        match staging
            .returns
            .iter()
            .any(|asked| path_of.starts_with(asked.as_path()))
        {
            true => Ok(Some(Arc::clone(staging))),
            false => Err(format!("{path} came back, which nobody asked for")),
        }
    }
}
