//! A policy that sets timers, on some of its keys: events and timers in the order in
//! which the contract has them (`wit/world.wit`, "Timers").
//!
//! What is said of a key must not depend on how events were batched. So a timer that
//! an event sets and that comes due before the key's next event fires between the
//! two, also where both are in one batch. Judging all rows of a key at once is right
//! as long as no timer comes due between them, and that shows afterwards: where one
//! does, the rows up to it are judged again, alone, and the rest later.

use std::collections::HashMap;
use std::time::Instant;

use super::evaluate::{Bench, Part, Round, Took};
use crate::column::Row;
use crate::sandbox::{Keys, Outcome, Said};
use crate::state::{Key, Timer};

/// Times that a key is woken in one place; the next timer waits for the next place.
const WAKES_MAX: u32 = 64;

/// How the sources' watermarks move over a round.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// For each row its source, the time it happened, and the watermark that its
    /// source has from then on.
    rows: Vec<(u32, i64, i64)>,
    /// For each source its rows, ascending, with that watermark, ascending too.
    sources: HashMap<u32, Vec<(i64, u32)>>,
}

impl Course {
    /// Adds the next row.
    pub fn push(&mut self, source: u32, happened: i64, watermark: i64) {
        self.sources.entry(source).or_default().push((watermark, self.rows.len() as u32));
        self.rows.push((source, happened, watermark));
    }

    /// The sources, with the watermark that each has in the end.
    pub fn watermarks(&self) -> impl Iterator<Item = (u32, i64)> {
        self.sources.iter().filter_map(|(source, rows)| Some((*source, rows.last()?.0)))
    }

    /// The first row from `from` on that takes a source's watermark to a time.
    fn reaches(&self, timer: Timer, from: u32) -> Option<u32> {
        let rows = self.sources.get(&timer.source)?;
        let at = rows.partition_point(|(watermark, row)| *watermark < timer.at || *row < from);
        rows.get(at).map(|(_, row)| *row)
    }

    /// The row before which a key's timer fires, given the key's next row: none if it
    /// does not fire before that, or at all.
    fn fires(&self, timer: Timer, from: u32, next: Option<u32>) -> Option<u32> {
        let place = self.reaches(timer, from).filter(|place| next.is_none_or(|next| *place <= next));
        place.or_else(|| next.filter(|next| *next >= from && self.rows[*next as usize].1 >= timer.at))
    }

    fn source(&self, row: u32) -> u32 {
        self.rows[row as usize].0
    }
}

/// A timer that fired.
#[derive(Debug)]
pub(super) struct Fired {
    /// The row before which it did.
    pub place: u32,
    pub timer: Timer,
    /// How many fired for the same key in the same place before.
    pub nth: u32,
    pub key: Key,
    /// The release that was woken.
    pub member: usize,
    pub said: Vec<Said>,
}

/// A key on its way through a round.
pub(super) struct Run {
    key: Key,
    /// Its rows that are not judged yet, each with the release that judges it.
    rows: Vec<(u32, u32)>,
    state: Option<Vec<u8>>,
    timer: Option<Timer>,
    was: Option<Timer>,
    changed: bool,
    /// The row from which on its timer can fire.
    from: u32,
    /// How often it was woken before that row.
    woken: u32,
    /// Rows that are judged at once, at most: few, once a timer came in between.
    stride: usize,
}

impl Run {
    pub fn new(key: Key, state: Option<Vec<u8>>, timer: Option<Timer>) -> Self {
        Run { key, rows: Vec::new(), state, timer, was: timer, changed: false, from: 0, woken: 0, stride: usize::MAX }
    }

    pub fn push(&mut self, row: u32, member: u32) {
        self.rows.push((row, member));
    }

    /// The row before which its timer fires, before it is shown its next row.
    fn fires(&self, course: &Course) -> Option<u32> {
        course.fires(self.timer?, self.from, self.rows.first().map(|(row, _)| *row))
    }
}

impl Bench<'_> {
    /// Takes some keys of a policy through a round. Of several releases that share
    /// their states `member` is the first.
    pub fn run_timed(&self, round: &Round<'_>, course: &Course, member: usize, mut runs: Vec<Run>) -> Part {
        let mut timed = Part::of(member);
        loop {
            if self.wake(course, member, &mut runs, &mut timed) {
                continue;
            }
            // One release after the other, each with the keys that are at a row of its own.
            let Some(member) = runs.iter().filter_map(|run| run.rows.first()).map(|(_, member)| *member).min() else { break };
            let own = |run: &Run| run.rows.iter().take_while(|(_, other)| *other == member).count().min(run.stride);
            let some = runs.iter().enumerate().map(|(at, run)| (at, own(run))).filter(|(_, count)| *count > 0);
            let some: Vec<(usize, usize)> = some.collect();
            let member = member as usize;
            let outcome = self.judge_timed(round, member, &runs, &some, &mut timed);
            let mut again = Vec::new();
            self.take(course, member, &mut runs, &some, outcome, &mut timed, Some(&mut again));
            if !again.is_empty() {
                // Up to the row that the timer fires behind, nothing is between.
                let outcome = self.judge_timed(round, member, &runs, &again, &mut timed);
                self.take(course, member, &mut runs, &again, outcome, &mut timed, None);
            }
        }
        for run in runs {
            if run.changed {
                timed.states.push((run.key.clone(), run.state));
            }
            if run.timer != run.was {
                timed.timers.push((run.key, run.timer));
            }
        }
        timed
    }

    /// Wakes every key whose timer fires before its next row, of one release. Whether
    /// there was one.
    fn wake(&self, course: &Course, member: usize, runs: &mut [Run], timed: &mut Part) -> bool {
        let shared = self.set.members[member].shared.clone();
        let woken_by = |timer: Timer| shared.clone().map_or(member, |shared| self.set.in_force(shared, timer.at));
        let mut woken = Vec::new();
        for (at, run) in runs.iter().enumerate() {
            if let (Some(place), Some(timer)) = (run.fires(course), run.timer) {
                woken.push((at, place, timer));
            }
        }
        let Some(member) = woken.iter().map(|(.., timer)| woken_by(*timer)).min() else { return false };
        woken.retain(|(.., timer)| woken_by(*timer) == member);
        let times: Vec<i64> = woken.iter().map(|(.., timer)| timer.at).collect();
        let states = woken.iter().map(|(at, ..)| runs[*at].state.clone()).collect();
        let outcome = self.set.members[member].image.wake(&times, states);
        timed.fuel += outcome.fuel;
        timed.calls += outcome.calls;
        let first = timed.fired.len();
        for (at, place, timer) in &woken {
            let run = &mut runs[*at];
            if *place != run.from {
                (run.from, run.woken) = (*place, 0);
            }
            timed.fired.push(Fired { place: *place, timer: *timer, nth: run.woken, key: run.key.clone(), member, said: Vec::new() });
            run.timer = None;
            run.woken += 1;
            if run.woken == WAKES_MAX {
                (run.from, run.woken) = (place + 1, 0);
            }
        }
        for (row, said) in outcome.said {
            timed.fired[first + row as usize].said.push(said);
        }
        for (key, state) in outcome.states {
            let run = &mut runs[woken[key as usize].0];
            (run.state, run.changed) = (state, true);
        }
        for (row, wish) in outcome.timers {
            let (at, _, timer) = woken[row as usize];
            runs[at].timer = wish.map(|at| Timer { at, source: timer.source });
        }
        true
    }

    /// Judges the first rows of some keys: which, and how many of each.
    fn judge_timed(&self, round: &Round<'_>, member: usize, runs: &[Run], some: &[(usize, usize)], timed: &mut Part) -> Judged {
        let policy = &self.set.members[member];
        let mut rows: Vec<(u32, u32)> =
            (0..).zip(some).flat_map(|(key, (at, count))| runs[*at].rows[..*count].iter().map(move |(row, _)| (*row, key))).collect();
        rows.sort_unstable();
        let keys = Keys {
            of_row: rows.iter().map(|(_, key)| *key).collect(),
            states: some.iter().map(|(at, _)| runs[*at].state.clone()).collect(),
        };
        let given: Vec<Row<'_>> = rows.iter().map(|(row, _)| round.row(*row as usize, member)).collect();
        let view = policy.grant.view(&policy.image.release().manifest, &given);
        let began = Instant::now();
        let outcome = policy.image.evaluate(&view, Some(keys));
        timed.took.push(Took { member, rows: rows.len() as u64, began, ended: Instant::now() });
        timed.fuel += outcome.fuel;
        timed.calls += outcome.calls;
        Judged { rows, outcome }
    }

    /// Takes over what was said about rows. A key with a timer that fires between two
    /// of its rows is left as it was and put on `again`, with the rows up to there.
    #[expect(clippy::too_many_arguments, reason = "all of it is one step of `run_timed`")]
    fn take(
        &self,
        course: &Course,
        member: usize,
        runs: &mut [Run],
        some: &[(usize, usize)],
        judged: Judged,
        timed: &mut Part,
        mut again: Option<&mut Vec<(usize, usize)>>,
    ) {
        let Judged { rows, outcome } = judged;
        let mut wishes: Vec<Vec<(u32, Option<i64>)>> = vec![Vec::new(); some.len()];
        for (at, wish) in &outcome.timers {
            let (row, key) = rows[*at as usize];
            wishes[key as usize].push((row, *wish));
        }
        let mut taken = vec![true; some.len()];
        for (key, (at, count)) in some.iter().enumerate() {
            let run = &mut runs[*at];
            let mut timer = run.timer;
            let mut wishes = wishes[key].iter().peekable();
            let mut stop = None;
            for (nth, (row, _)) in run.rows[..*count].iter().enumerate() {
                let source = course.source(*row);
                timer = timer.map(|timer| Timer { source, ..timer });
                if let Some((_, wish)) = wishes.next_if(|(of, _)| of == row) {
                    timer = wish.map(|at| Timer { at, source });
                }
                if nth + 1 < *count && timer.is_some_and(|timer| course.fires(timer, row + 1, Some(run.rows[nth + 1].0)).is_some()) {
                    stop = Some(nth + 1);
                    break;
                }
            }
            if let (Some(count), Some(again)) = (stop, again.as_mut()) {
                run.stride = count;
                again.push((*at, count));
                taken[key] = false;
                continue;
            }
            run.timer = timer;
            if let Some((last, _)) = run.rows[..*count].last() {
                (run.from, run.woken) = (last + 1, 0);
            }
            run.rows.drain(..*count);
            run.stride = run.stride.saturating_mul(2);
        }
        for (key, state) in outcome.states {
            if taken[key as usize] {
                let run = &mut runs[some[key as usize].0];
                (run.state, run.changed) = (state, true);
            }
        }
        for (at, said) in outcome.said {
            let (row, key) = rows[at as usize];
            if taken[key as usize] {
                timed.said.push((row, member, said));
            }
        }
    }
}

/// Some rows, each with the key that it is of, and what was said about them.
struct Judged {
    rows: Vec<(u32, u32)>,
    outcome: Outcome,
}
