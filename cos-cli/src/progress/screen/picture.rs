//! All lines of the display, made to fit the terminal.

use cos_core::time::Time;

use super::HostLines;
use super::host_row::{HostColumns, host_row};
use super::selection::{Selection, present};
use super::total::{ALIGNED, total_line};
use crate::progress::format::Amount;
use crate::progress::line::{LABEL_WIDTH, Line};
use crate::progress::model::RunView;
use crate::progress::settings::TerminalSize;
use crate::progress::text;

/// The most columns of a host's name.
const MAX_NAME: usize = 20;
/// As [`MAX_NAME`], on a narrow terminal.
const MAX_NAME_NARROW: usize = 8;
/// Lines of the terminal that are left to what is said and written above.
const LEFT_FREE: u16 = 2;

/// The lines of the display: the run first, then the hosts, at last how many more there are with `tip` after it. Never
/// more than the terminal has rows, never wider.
pub(in crate::progress) fn compose(
    view: &RunView,
    now: Time,
    size: TerminalSize,
    hosts: HostLines,
    tip: &str,
    selection: &mut Selection,
) -> Vec<Line> {
    let columns = usize::from(size.columns.max(1));
    let mut lines = vec![total_line(view, now, columns)];
    let HostLines::Most(most) = hosts else {
        return lines;
    };
    let rows = usize::from(size.rows.saturating_sub(LEFT_FREE)).saturating_sub(lines.len());
    let present = present(view);
    let fitting = match present.len() <= rows {
        true => rows,
        // One row says how many more there are.
        false => rows.saturating_sub(1),
    };
    let places = most.min(fitting);
    let oldest = view.oldest_by_host();
    let chosen = selection.choose(view, &oldest, places, now);
    let shown = || chosen.iter().map(|position| &view.hosts()[*position]);
    let max_name = if columns >= ALIGNED {
        MAX_NAME
    } else {
        MAX_NAME_NARROW
    };
    let least_name = if columns >= ALIGNED { LABEL_WIDTH } else { 0 };
    let layout = HostColumns {
        name: shown()
            .map(|host| text::width(&host.name).min(max_name))
            .max()
            .unwrap_or(0)
            .max(least_name),
        slots: shown()
            .filter_map(|host| host.slots)
            .map(|slots| 2 * slots.to_string().len() + 1)
            .max()
            .unwrap_or(0),
        line: columns,
    };
    lines.extend(chosen.iter().map(|position| {
        let host = &view.hosts()[*position];
        host_row(view, host, oldest[*position], layout, now)
    }));
    let more = present.len() - chosen.len();
    if more > 0 && lines.len() <= rows {
        let indent = " ".repeat(least_name + usize::from(least_name > 0));
        let busy = present
            .iter()
            .filter(|position| !chosen.contains(position))
            .map(|position| &view.hosts()[*position]);
        let used: u64 = busy
            .clone()
            .map(|host| u64::from(view.slots_used(host)))
            .sum();
        let all: u64 = busy.filter_map(|host| host.slots).map(u64::from).sum();
        let hosts = Amount(more as u64, "more host");
        let slots = match all {
            0 => String::new(),
            all => format!(", {used}/{all} slots"),
        };
        let text = format!("{indent}... {hosts}{slots}{tip}");
        lines.push(Line::new().plain(text).truncated(columns));
    }
    lines
}
