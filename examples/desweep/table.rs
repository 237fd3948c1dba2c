//! The table at the end: one line for each function, dimension and population size.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets};

use crate::evolution::{Found, Run};

/// What all seeds of one line came to.
struct Line<'a> {
    run: &'a Run,
    found: Vec<Found>,
    failed: usize,
}

impl Line<'_> {
    fn successes(&self) -> usize {
        self.found.iter().filter(|found| found.success).count()
    }

    /// The median number of evaluations of the runs that succeeded.
    fn effort(&self) -> Option<u64> {
        let mut effort: Vec<u64> = self
            .found
            .iter()
            .filter(|found| found.success)
            .map(|found| found.evaluations)
            .collect();
        effort.sort_unstable();
        effort.get(effort.len() / 2).copied()
    }

    fn best(&self) -> Option<f64> {
        self.found
            .iter()
            .map(|found| found.cost)
            .min_by(f64::total_cmp)
    }
}

/// Prints the table and names what was found with no population size.
pub(crate) fn print(runs: &[Run], found: &[Option<Found>]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "function",
        "dimension",
        "population",
        "found",
        "evaluations",
        "best",
        "known",
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut solved: BTreeMap<String, bool> = BTreeMap::new();
    for line in lines(runs, found) {
        let Run {
            function,
            dimension,
            population,
            ..
        } = *line.run;
        let name = format!("{function:?}").to_lowercase();
        let successes = line.successes();
        *solved.entry(format!("{name} in {dimension}")).or_default() |= successes > 0;
        table.add_row([
            name,
            dimension.to_string(),
            population.to_string(),
            format!("{successes}/{}", line.found.len() + line.failed),
            line.effort().map_or("-".to_owned(), |n| n.to_string()),
            line.best()
                .map_or("-".to_owned(), |best| format!("{best:.3e}")),
            function.minimum().to_string(),
        ]);
    }
    println!("{table}");
    solved
        .into_iter()
        .filter(|(_, solved)| !solved)
        .map(|(name, _)| name)
        .collect()
}

fn lines<'a>(runs: &'a [Run], found: &[Option<Found>]) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    for (run, found) in runs.iter().zip(found) {
        let key = |run: &Run| (run.function, run.dimension, run.population);
        if lines.last().is_none_or(|line| key(line.run) != key(run)) {
            lines.push(Line {
                run,
                found: Vec::new(),
                failed: 0,
            });
        }
        if let Some(line) = lines.last_mut() {
            match found {
                Some(found) => line.found.push(*found),
                None => line.failed += 1,
            }
        }
    }
    lines
}
