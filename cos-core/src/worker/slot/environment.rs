//! The environment of a slot's commands: the slot's own, what the run adds, and what each command adds.

use std::ffi::{CString, NulError, OsString};
use std::os::unix::ffi::OsStringExt;

use super::protocol::{Configuration, Order};

/// Names of variables that a job cannot set: every command is told them anew.
const OF_COS: [&[u8]; 8] = [
    b"PWD",
    b"COS_RUN",
    b"COS_HOST",
    b"COS_SLOT",
    b"COS_SEQ",
    b"COS_TRY",
    b"PARALLEL_JOBSLOT",
    b"PARALLEL_SEQ",
];

const THREADS: &[u8] = b"OMP_NUM_THREADS";

/// What every command of a slot has, made once.
#[derive(Debug)]
pub(super) struct Environment {
    variables: Vec<Variable>,
}

/// The variables of one command.
#[derive(Debug)]
pub(super) struct CommandEnvironment<'a> {
    common: &'a [Variable],
    /// These hide common ones of the same names.
    own: Vec<Variable>,
}

#[derive(Debug)]
struct Variable {
    /// How many bytes of `text` are the name.
    name: usize,
    /// `NAME=value`.
    text: CString,
}

impl Variable {
    fn new(name: &[u8], value: &[u8]) -> Result<Self, NulError> {
        let mut text = Vec::with_capacity(name.len() + value.len() + 2);
        text.extend_from_slice(name);
        text.push(b'=');
        text.extend_from_slice(value);
        Ok(Self {
            name: name.len(),
            text: CString::new(text)?,
        })
    }

    fn name(&self) -> &[u8] {
        &self.text.as_bytes()[..self.name]
    }

    fn value(&self) -> &[u8] {
        &self.text.as_bytes()[self.name + 1..]
    }
}

impl Environment {
    /// From the environment of this process.
    pub(super) fn new(
        inherited: impl Iterator<Item = (OsString, OsString)>,
        configuration: &Configuration,
    ) -> Result<Self, NulError> {
        let slot = configuration.slot.to_string();
        let of_run: [(&[u8], &[u8]); 5] = [
            // The agent's own name for the directory, which may lead over links: without it a shell would tell the one
            // behind them.
            (b"PWD", &configuration.directory),
            (b"COS_RUN", configuration.run.as_bytes()),
            (b"COS_HOST", configuration.host.as_bytes()),
            (b"COS_SLOT", slot.as_bytes()),
            (b"PARALLEL_JOBSLOT", slot.as_bytes()),
        ];
        let mut variables = Vec::new();
        for (name, value) in inherited {
            let name = name.into_vec();
            if !OF_COS.contains(&name.as_slice()) {
                variables.push(Variable::new(&name, &value.into_vec())?);
            }
        }
        for (name, value) in of_run {
            variables.push(Variable::new(name, value)?);
        }
        Ok(Self { variables })
    }

    /// With what one command adds.
    pub(super) fn of_command(&self, order: &Order) -> Result<CommandEnvironment<'_>, NulError> {
        let mut command = CommandEnvironment {
            common: &self.variables,
            own: Vec::with_capacity(order.job.environment.len() + 5),
        };
        for (name, value) in &order.job.environment {
            if !OF_COS.contains(&name.as_slice()) {
                command.set(name, value)?;
            }
        }
        if command.value(THREADS).is_none() {
            command.set(THREADS, order.cores.max(1).to_string().as_bytes())?;
        }
        if let Some(directory) = &order.directory {
            command.set(b"PWD", directory)?;
        }
        let sequence = order.job.sequence.to_string();
        command.set(b"COS_SEQ", sequence.as_bytes())?;
        command.set(b"COS_TRY", order.try_number.to_string().as_bytes())?;
        command.set(b"PARALLEL_SEQ", sequence.as_bytes())?;
        Ok(command)
    }
}

impl CommandEnvironment<'_> {
    fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), NulError> {
        let variable = Variable::new(name, value)?;
        match self.own.iter_mut().find(|it| it.name() == name) {
            Some(known) => *known = variable,
            None => self.own.push(variable),
        }
        Ok(())
    }

    /// The value of a variable.
    pub(super) fn value(&self, name: &[u8]) -> Option<&[u8]> {
        let variables = self.own.iter().chain(self.common);
        let mut named = variables.filter(|variable| variable.name() == name);
        named.next().map(Variable::value)
    }

    /// `NAME=value` of every variable.
    pub(super) fn strings(&self) -> Vec<&CString> {
        let is_hidden =
            |variable: &&Variable| self.own.iter().any(|own| own.name() == variable.name());
        let common = self.common.iter().filter(|it| !is_hidden(it));
        common.chain(&self.own).map(|it| &it.text).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_bytes::ByteBuf;

    use super::*;
    use crate::ids::{AttemptId, Epoch, TaskId};
    use crate::job::CommandJob;

    fn configuration() -> Configuration {
        Configuration {
            slot: 3,
            run: "7kq2".to_owned(),
            host: "ws03".to_owned(),
            shell: ByteBuf::from(b"/bin/sh"),
            directory: ByteBuf::from(b"/work"),
            nice: 0,
            storage: None,
        }
    }

    fn order(environment: &[(&str, &str)], directory: Option<&str>) -> Order {
        let bytes = |text: &str| ByteBuf::from(text.as_bytes());
        let pairs = environment.iter();
        Order {
            attempt: AttemptId {
                task: TaskId(1),
                epoch: Epoch(1),
            },
            try_number: 2,
            cores: 4,
            directory: directory.map(bytes),
            is_staged: false,
            job: Box::new(CommandJob {
                environment: pairs.map(|(k, v)| (bytes(k), bytes(v))).collect(),
                ..CommandJob::shell(17, "true")
            }),
        }
    }

    fn environment(inherited: &[(&str, &str)], order: &Order) -> Vec<String> {
        let pairs = inherited.iter();
        let inherited = pairs.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let common = Environment::new(inherited, &configuration()).unwrap();
        let command = common.of_command(order).unwrap();
        let mut strings: Vec<String> = command
            .strings()
            .into_iter()
            .map(|it| it.to_str().unwrap().to_owned())
            .collect();
        strings.sort();
        strings
    }

    #[test]
    fn each_variable_is_there_once_and_cos_has_the_last_word() {
        let inherited = [
            ("HOME", "/h"),
            ("COS_SEQ", "9"),
            ("A", "host"),
            ("B", "host"),
        ];
        let order = order(
            &[("A", "job"), ("COS_TRY", "0"), ("C", "one"), ("C", "two")],
            None,
        );
        let expected = [
            "A=job",
            "B=host",
            "C=two",
            "COS_HOST=ws03",
            "COS_RUN=7kq2",
            "COS_SEQ=17",
            "COS_SLOT=3",
            "COS_TRY=2",
            "HOME=/h",
            "OMP_NUM_THREADS=4",
            "PARALLEL_JOBSLOT=3",
            "PARALLEL_SEQ=17",
            "PWD=/work",
        ];
        assert_eq!(environment(&inherited, &order), expected);
    }

    #[test]
    fn threads_and_directory_are_those_of_the_job_where_it_has_its_own() {
        let has = |environment: &[String], text: &str| environment.iter().any(|it| it == text);
        let own = environment(&[], &order(&[("OMP_NUM_THREADS", "1")], Some("/own")));
        assert!(has(&own, "OMP_NUM_THREADS=1") && has(&own, "PWD=/own"));
        let of_host = environment(&[("OMP_NUM_THREADS", "8")], &order(&[], None));
        assert!(has(&of_host, "OMP_NUM_THREADS=8") && !has(&of_host, "OMP_NUM_THREADS=4"));
    }
}
