//! Key pairs, made by `ssh-keygen`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::LabError;
use crate::programs;

/// An ed25519 key pair without a passphrase, in two files.
#[derive(Debug, Clone)]
pub(crate) struct KeyPair {
    private: PathBuf,
    public: String,
}

impl KeyPair {
    /// Makes a new pair: the private key in `path`, the public one beside it in `path.pub`.
    pub(crate) fn generate(
        ssh_keygen: &Path,
        path: &Path,
        comment: &str,
    ) -> Result<Self, LabError> {
        programs::run(
            ssh_keygen,
            [
                "-q".as_ref(),
                "-t".as_ref(),
                "ed25519".as_ref(),
                "-N".as_ref(),
                "".as_ref(),
                "-C".as_ref(),
                comment.as_ref(),
                "-f".as_ref(),
                path.as_os_str(),
            ],
        )?;
        let public_path = path.with_extension("pub");
        let public =
            fs::read_to_string(&public_path).map_err(LabError::file("read", &public_path))?;
        Ok(Self {
            private: path.to_owned(),
            public: public.trim().to_owned(),
        })
    }

    /// The file of the private key, mode 0600.
    pub(crate) fn private(&self) -> &Path {
        &self.private
    }

    /// The public key as one line: type, base64, comment.
    pub(crate) fn public(&self) -> &str {
        &self.public
    }

    /// The public key's type and base64 alone, as known_hosts has them.
    pub(crate) fn known_host_fields(&self) -> String {
        self.public
            .split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    }
}
