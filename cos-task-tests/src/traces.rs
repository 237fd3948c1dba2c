//! Tasks that leave something behind, or do to their process what the next task should not see.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

task! {
    /// Goes elsewhere, and says where it was.
    fallible changes_directory() -> String {
        let here = std::env::current_dir()?;
        std::env::set_current_dir("/")?;
        Ok(here.display().to_string())
    }
}

task! {
    /// Starts processes that it does not wait for, and says their numbers: one below it, and one that leaves its session
    /// and has lost its parent.
    fallible leaves_children() -> Vec<u32> {
        let plain = Command::new("sleep").arg("1000").spawn()?;
        let shell = "setsid sh -c 'echo $$; exec sleep 1000' & :";
        let output = Command::new("sh").args(["-c", shell]).stdout(Stdio::piped()).spawn()?;
        let mut first = String::new();
        let output = output.stdout.ok_or(io::ErrorKind::BrokenPipe)?;
        io::BufRead::read_line(&mut io::BufReader::new(output), &mut first)?;
        Ok(vec![plain.id(), first.trim().parse().map_err(io::Error::other)?])
    }
}

task! {
    /// Starts a process that ends by itself a moment later.
    fallible leaves_a_short_child() -> () {
        Command::new("sleep").arg("0.05").spawn()?;
        Ok(())
    }
}

task! {
    /// Runs commands and waits for each itself: their exit codes.
    fallible runs_commands(count: i32) -> Vec<i32> {
        (0..count).map(|code| {
            let status = Command::new("sh").args(["-c", &format!("exit {code}")]).status()?;
            status.code().ok_or_else(|| io::ErrorKind::Interrupted.into())
        }).collect()
    }
}

task! {
    /// Starts a thread that prints for as long as the process lives.
    starts_a_thread(text: String) -> () {
        std::thread::spawn(move || loop {
            let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
            std::thread::sleep(Duration::from_millis(1));
        });
    }
}

task! {
    /// Makes a file, starts a child that ignores what is asked of it, and never returns.
    fallible runs_for_ever(begun: String, child: bool) -> () {
        if child {
            let mut command = Command::new("sh");
            command.args(["-c", "trap '' TERM; echo $$ > \"$0\"; while :; do sleep 1; done", &begun]);
            command.process_group(0).spawn()?;
        } else {
            std::fs::write(&begun, std::process::id().to_string())?;
        }
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

task! {
    /// Waits for a child, as long as nobody ends that: its exit code or signal.
    fallible waits_for_a_child(begun: String) -> String {
        let mut child = Command::new("sleep").arg("1000").spawn()?;
        std::fs::write(&begun, child.id().to_string())?;
        Ok(child.wait()?.to_string())
    }
}

task! {
    /// Says which process it runs in, and returns when a file is there.
    fallible waits_for_a_file(begun: String, file: String) -> () {
        std::fs::write(&begun, std::process::id().to_string())?;
        while !Path::new(&file).exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}
