//! One direction of one connection: a queue whose bytes become due. Reads no clock and no socket.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What may wait in a lane before its source is not read any more. It bounds the throughput of a
/// delayed line as a TCP window does, and the queue in front of a slow one.
const CAPACITY: usize = 256 * 1024;

/// Bytes on their way, in order, and the end that follows them.
#[derive(Debug, Default)]
pub(super) struct Lane {
    queue: VecDeque<Piece>,
    queued: usize,
    /// When the source's end of file is passed on; nothing comes after it.
    end: Option<Instant>,
    /// The end has been passed on.
    ended: bool,
    /// Nothing overtakes what came before it.
    last_due: Option<Instant>,
}

#[derive(Debug)]
struct Piece {
    due: Instant,
    bytes: Vec<u8>,
    /// How much of it has been sent.
    sent: usize,
}

impl Lane {
    /// Whether more should be read from the source.
    pub(super) fn has_room(&self) -> bool {
        self.end.is_none() && self.queued < CAPACITY
    }

    /// Takes in what was read.
    pub(super) fn push(&mut self, bytes: &[u8], now: Instant, delay: Duration) {
        let due = self.schedule(now, delay);
        self.queued += bytes.len();
        self.queue.push_back(Piece {
            due,
            bytes: bytes.to_vec(),
            sent: 0,
        });
    }

    /// Takes in the end of file, which is as late as any byte.
    pub(super) fn push_end(&mut self, now: Instant, delay: Duration) {
        if self.end.is_none() {
            self.end = Some(self.schedule(now, delay));
        }
    }

    /// Forgets what is on its way, and its end.
    pub(super) fn swallow(&mut self) {
        self.queue.clear();
        self.queued = 0;
    }

    /// The next bytes that are due.
    pub(super) fn due(&self, now: Instant) -> &[u8] {
        match self.queue.front() {
            Some(piece) if piece.due <= now => &piece.bytes[piece.sent..],
            _ => &[],
        }
    }

    /// Turns one bit of the next byte over.
    pub(super) fn flip_next(&mut self, bit: u8) {
        let next = self
            .queue
            .front_mut()
            .and_then(|piece| piece.bytes.get_mut(piece.sent));
        if let Some(byte) = next {
            *byte ^= 1 << (bit % 8);
        }
    }

    /// Removes what has been sent.
    pub(super) fn consume(&mut self, count: usize) {
        let Some(piece) = self.queue.front_mut() else {
            return;
        };
        let count = count.min(piece.bytes.len() - piece.sent);
        piece.sent += count;
        self.queued -= count;
        if piece.sent == piece.bytes.len() {
            self.queue.pop_front();
        }
    }

    /// Whether the end is due now; says so once.
    pub(super) fn take_end(&mut self, now: Instant) -> bool {
        let due = !self.ended && self.queue.is_empty() && self.end.is_some_and(|end| end <= now);
        self.ended |= due;
        due
    }

    /// The end has been passed on.
    pub(super) fn is_over(&self) -> bool {
        self.ended
    }

    /// When there is something to do, as far as the lane knows.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let end = self.end.filter(|_| !self.ended);
        self.queue.front().map(|piece| piece.due).or(end)
    }

    fn schedule(&mut self, now: Instant, delay: Duration) -> Instant {
        let due = self
            .last_due
            .map_or(now + delay, |last| last.max(now + delay));
        self.last_due = Some(due);
        due
    }
}

/// The share of a slow line that both ways have to themselves, all connections together.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// When the line is free again after what was sent.
    free: Option<Instant>,
}

impl Throttle {
    /// How long the line works on one write at most, so that it flows and does not jump.
    const GRAIN: Duration = Duration::from_millis(5);

    /// How many bytes may be sent at once; 0: not yet.
    pub(super) fn allowance(&self, now: Instant, rate: Option<u64>) -> usize {
        let Some(rate) = rate else { return usize::MAX };
        if self.free.is_some_and(|free| free > now) {
            return 0;
        }
        let grain = u128::from(rate) * Self::GRAIN.as_nanos() / 1_000_000_000;
        usize::try_from(grain).unwrap_or(usize::MAX).max(1)
    }

    /// Books what was sent.
    pub(super) fn book(&mut self, count: usize, now: Instant, rate: Option<u64>) {
        let Some(rate) = rate else {
            self.free = None;
            return;
        };
        let nanoseconds = count as u128 * 1_000_000_000 / u128::from(rate.max(1));
        let time = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        // What the loop slept too long is made up for, but not more than one grain.
        let start = self
            .free
            .map_or(now, |free| free.max(now - Self::GRAIN.min(time)));
        self.free = Some(start + time);
    }

    /// When it may go on.
    pub(super) fn next_free(&self, rate: Option<u64>) -> Option<Instant> {
        rate.and(self.free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn bytes_are_due_after_their_delay_and_in_order() {
        let start = Instant::now();
        let mut lane = Lane::default();
        lane.push(b"slow", start, 10 * MS);
        lane.push(b"fast", start, MS);
        lane.push_end(start, MS);
        assert_eq!(lane.due(start + 9 * MS), b"");
        assert_eq!(lane.next_due(), Some(start + 10 * MS));
        assert_eq!(lane.due(start + 10 * MS), b"slow");
        lane.consume(3);
        lane.flip_next(0);
        assert_eq!(lane.due(start + 10 * MS), b"v");
        lane.consume(1);
        assert_eq!(lane.due(start + 10 * MS), b"fast");
        assert!(!lane.take_end(start + 10 * MS));
        lane.consume(4);
        assert!(lane.take_end(start + 10 * MS) && lane.is_over());
        assert!(!lane.take_end(start + 10 * MS));
        assert_eq!(lane.next_due(), None);
    }

    #[test]
    fn a_full_lane_takes_no_more() {
        let now = Instant::now();
        let mut lane = Lane::default();
        lane.push(&vec![0; CAPACITY], now, MS);
        assert!(!lane.has_room());
        lane.consume(1);
        assert!(lane.has_room());
        lane.swallow();
        assert_eq!(lane.next_due(), None);
    }

    #[test]
    fn a_throttle_keeps_its_rate() {
        let start = Instant::now();
        let rate = Some(10_000);
        let mut throttle = Throttle::default();
        let mut sent = 0;
        for tick in 0..1000 {
            let now = start + tick * MS;
            let allowed = throttle.allowance(now, rate);
            if allowed > 0 {
                throttle.book(allowed, now, rate);
                sent += allowed;
            }
        }
        assert!((9_900..=10_100).contains(&sent), "{sent}");
        assert_eq!(throttle.allowance(start, None), usize::MAX);
    }
}
