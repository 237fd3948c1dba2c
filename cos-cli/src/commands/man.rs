//! `cos man`: the manual page, of `cos` and all of its commands.

use std::io::{self, Write};

use crate::failure::Failure;
use crate::{arguments, exit_code};

pub(super) fn write(out: &mut dyn Write) -> Result<u8, Failure> {
    page()
        .and_then(|page| out.write_all(&page).and_then(|()| out.flush()))
        .map_err(|error| Failure::stdout(&error))?;
    Ok(exit_code::SUCCESS)
}

fn page() -> io::Result<Vec<u8>> {
    let mut command = arguments::command();
    command.build();
    let mut page = Vec::new();
    let main = clap_mangen::Man::new(command.clone());
    main.render_title(&mut page)?;
    main.render_name_section(&mut page)?;
    main.render_synopsis_section(&mut page)?;
    main.render_description_section(&mut page)?;
    for subcommand in command.get_subcommands() {
        if subcommand.get_name() == "help" {
            continue;
        }
        let title = format!("cos {}", subcommand.get_name()).to_uppercase();
        writeln!(page, ".SH \"{title}\"")?;
        let mut section = Vec::new();
        let man = clap_mangen::Man::new(subcommand.clone());
        man.render_description_section(&mut section)?;
        man.render_synopsis_section(&mut section)?;
        man.render_options_section(&mut section)?;
        man.render_extra_section(&mut section)?;
        // The sections of a command are subsections of the whole.
        let section = String::from_utf8_lossy(&section);
        for line in section.lines() {
            match line.strip_prefix(".SH ") {
                Some("DESCRIPTION") => {}
                Some(title) => writeln!(page, ".SS {title}")?,
                None => writeln!(page, "{line}")?,
            }
        }
    }
    exit_codes(&mut page)?;
    Ok(page)
}

fn exit_codes(page: &mut Vec<u8>) -> io::Result<()> {
    writeln!(page, ".SH \"EXIT STATUS\"")?;
    for (code, meaning) in [
        (exit_code::SUCCESS, "all jobs succeeded"),
        (exit_code::INTERNAL_ERROR, "cos itself failed"),
        (
            exit_code::USAGE_ERROR,
            "the command line or hosts.toml is wrong",
        ),
        (exit_code::NO_USABLE_HOST, "no usable host, or none left"),
        (exit_code::NO_JOBS, "no jobs"),
        (
            exit_code::SOME_HOSTS_UNUSABLE,
            "cos doctor: some hosts are unusable",
        ),
        (exit_code::JOBS_FAILED, "jobs failed"),
        (exit_code::HALTED, "stopped by --halt"),
        (exit_code::INTERRUPTED, "stopped by SIGINT"),
        (exit_code::TERMINATED, "stopped by SIGTERM"),
    ] {
        writeln!(page, ".TP\n\\fB{code}\\fR\n{meaning}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_command_with_its_flags() {
        let page = String::from_utf8(page().expect("rendered")).expect("text");
        for part in [
            ".TH cos 1",
            ".SH \"COS RUN\"",
            ".SH \"COS DOCTOR\"",
            "keep\\-order",
            ".SH \"EXIT STATUS\"",
        ] {
            assert!(page.contains(part), "{part} is not in\n{page}");
        }
        assert_eq!(page.matches(".SH NAME").count(), 1);
    }
}
