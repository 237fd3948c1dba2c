//! The flags of `cos run` about files that travel with jobs.

use std::ffi::OsString;

use clap::builder::FalseyValueParser;

/// Flags about files that travel with jobs, where hosts do not share the current directory.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Files")]
pub struct StagingArguments {
    /// Send this file to the job's host, into the job's directory; replacement strings are allowed
    #[arg(
        long,
        alias = "tf",
        env = "COS_TRANSFERFILE",
        hide_env = true,
        value_name = "FILE"
    )]
    pub transferfile: Vec<OsString>,
    /// The same as --transferfile {}
    #[arg(long, env = "COS_TRANSFER", hide_env = true, value_parser = FalseyValueParser::new())]
    pub transfer: bool,
    /// Send this file once to every host, before its first job
    #[arg(
        long,
        alias = "bf",
        env = "COS_BASEFILE",
        hide_env = true,
        value_name = "FILE"
    )]
    pub basefile: Vec<OsString>,
    /// Bring this file or directory back from the job's directory; replacement strings are allowed
    #[arg(
        long = "return",
        env = "COS_RETURN",
        hide_env = true,
        value_name = "FILE"
    )]
    pub returns: Vec<OsString>,
    /// Remove sent and returned files from the host after each job
    #[arg(long, env = "COS_CLEANUP", hide_env = true, value_parser = FalseyValueParser::new())]
    pub cleanup: bool,
    /// The same as --transferfile {} --return FILE --cleanup
    #[arg(long, env = "COS_TRC", hide_env = true, value_name = "FILE")]
    pub trc: Vec<OsString>,
}

impl StagingArguments {
    /// Templates of the files that go to the job's host.
    #[must_use]
    pub fn transfers(&self) -> Vec<&[u8]> {
        let every_input = self.transfer || !self.trc.is_empty();
        let named = self.transferfile.iter().map(|it| it.as_encoded_bytes());
        every_input
            .then_some(&b"{}"[..])
            .into_iter()
            .chain(named)
            .collect()
    }

    /// Templates of the files that come back.
    #[must_use]
    pub fn all_returns(&self) -> Vec<&[u8]> {
        let all = self.returns.iter().chain(&self.trc);
        all.map(|it| it.as_encoded_bytes()).collect()
    }

    /// Whether files are removed from the host after each job.
    #[must_use]
    pub fn cleans_up(&self) -> bool {
        self.cleanup || !self.trc.is_empty()
    }
}
