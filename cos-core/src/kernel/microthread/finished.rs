//! The children of a group that have finished: the lowest tid first, and any can be taken out.

use std::collections::{BTreeMap, VecDeque};

use super::row::Row;
use crate::ids::Tid;

/// Those that finish in the order of their tids, as most do, lie in a queue; the others in a tree.
#[derive(Default, Debug)]
pub(super) struct Finished {
    /// Ascending. One that was taken out of the middle has no row any more; neither the first nor the last is such.
    run: VecDeque<(Tid, Option<Row>)>,
    others: BTreeMap<Tid, Row>,
    /// How many of the queue were not taken out.
    in_run: usize,
}

impl Finished {
    pub(super) fn len(&self) -> usize {
        self.in_run + self.others.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn insert(&mut self, tid: Tid, row: Row) {
        match self.run.back() {
            Some((last, _)) if *last > tid => {
                self.others.insert(tid, row);
            }
            _ => {
                self.run.push_back((tid, Some(row)));
                self.in_run += 1;
            }
        }
    }

    /// The one with the lowest tid.
    pub(super) fn first(&self) -> Option<(Tid, Row)> {
        let of_run = self
            .run
            .front()
            .and_then(|(tid, row)| Some((*tid, (*row)?)));
        let other = self.others.first_key_value().map(|(tid, row)| (*tid, *row));
        of_run.into_iter().chain(other).min()
    }

    pub(super) fn remove(&mut self, tid: Tid) {
        let place = match self.run.front() {
            Some((first, _)) if *first == tid => Ok(0),
            _ => self.run.binary_search_by_key(&tid, |(tid, _)| *tid),
        };
        let Ok(place) = place else {
            self.others.remove(&tid);
            return;
        };
        if self.run[place].1.take().is_none() {
            self.others.remove(&tid);
            return;
        }
        self.in_run -= 1;
        while let Some((_, None)) = self.run.front() {
            self.run.pop_front();
        }
        while let Some((_, None)) = self.run.back() {
            self.run.pop_back();
        }
    }

    /// All, ascending.
    pub(super) fn tids(&self) -> Vec<Tid> {
        let of_run = self.run.iter().filter(|(_, row)| row.is_some());
        let mut tids: Vec<Tid> = of_run
            .map(|(tid, _)| *tid)
            .chain(self.others.keys().copied())
            .collect();
        tids.sort_unstable();
        tids
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_is_a_set_whatever_the_order() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let (mut finished, mut model) = (Finished::default(), BTreeSet::new());
            for n in 0..rng.u64(..200) {
                let tid = match rng.bool() {
                    true => Tid(n),
                    false => Tid(rng.u64(..200)),
                };
                match rng.u32(..3) {
                    0 => {
                        finished.remove(tid);
                        model.remove(&tid);
                    }
                    _ if model.insert(tid) => finished.insert(tid, Row(tid.0 as usize)),
                    _ => {}
                }
                let first = model.first().map(|tid| (*tid, Row(tid.0 as usize)));
                assert_eq!(finished.first(), first);
                assert_eq!(finished.tids(), model.iter().copied().collect::<Vec<_>>());
                assert_eq!(finished.len(), model.len());
            }
        }
    }
}
