//! Events and changes over time, in as many equal parts as a plot can show.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::{Kind, Kinds};

/// Parts that there are at most, empty ones among them.
const PARTS_MAX: i64 = 160;

/// Seconds of a part, the shortest first.
const STEPS: [i64; 11] = [60, 300, 900, 1_800, 3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600, 86_400, 7 * 86_400, 28 * 86_400];

/// What happened in one part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "TimelinePart")]
pub struct Part {
    /// Seconds since 1970 at which it begins.
    pub from: i64,
    /// Events that were judged.
    pub events: u64,
    /// Changes, those of timers among them.
    #[serde(flatten)]
    pub changes: Kinds,
}

/// Events and changes over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    /// Seconds of a part.
    pub step_s: i64,
    /// In order, without those in which nothing was.
    pub parts: Vec<Part>,
}

impl Default for Timeline {
    fn default() -> Self {
        Timeline { step_s: STEPS[0], parts: Vec::new() }
    }
}

impl Timeline {
    pub(super) fn event(&mut self, micros: i64) {
        self.part(micros).events += 1;
    }

    pub(super) fn change(&mut self, micros: i64, kind: Kind) {
        self.part(micros).changes.add(kind);
    }

    /// The begins of the first part and the last one.
    pub fn span(&self) -> Option<(i64, i64)> {
        Some((self.parts.first()?.from, self.parts.last()?.from))
    }

    fn part(&mut self, micros: i64) -> &mut Part {
        let seconds = micros.div_euclid(1_000_000);
        let (first, last) = self.span().unwrap_or((seconds, seconds));
        while last.max(seconds).saturating_sub(first.min(seconds)) / self.step_s >= PARTS_MAX - 1 {
            self.coarsen();
        }
        let from = begin(seconds, self.step_s);
        let at = self.parts.partition_point(|part| part.from < from);
        if self.parts.get(at).is_none_or(|part| part.from != from) {
            self.parts.insert(at, Part { from, ..Part::default() });
        }
        &mut self.parts[at]
    }

    /// Makes parts longer.
    fn coarsen(&mut self) {
        let longer = STEPS.into_iter().find(|step| *step > self.step_s);
        self.step_s = longer.unwrap_or(self.step_s.saturating_mul(2));
        for part in std::mem::take(&mut self.parts) {
            let from = begin(part.from, self.step_s);
            match self.parts.last_mut() {
                Some(into) if into.from == from => {
                    into.events += part.events;
                    into.changes.merge(&part.changes);
                }
                _ => self.parts.push(Part { from, ..part }),
            }
        }
    }
}

fn begin(seconds: i64, step: i64) -> i64 {
    seconds.div_euclid(step).saturating_mul(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_longer_and_nothing_is_lost() {
        let mut timeline = Timeline::default();
        for day in 0..400i64 {
            timeline.event(day * 86_400_000_000);
            timeline.event(day * 86_400_000_000 + 1);
        }
        timeline.change(200 * 86_400_000_000, Kind::Milder);
        assert_eq!((timeline.step_s, timeline.span()), (7 * 86_400, Some((0, 399 / 7 * 7 * 86_400))));
        assert_eq!(timeline.parts.iter().map(|part| part.events).sum::<u64>(), 800);
        assert_eq!(timeline.parts.iter().map(|part| part.changes.milder).sum::<u64>(), 1);
        // Times that no clock has end as well.
        timeline.event(i64::MAX);
        timeline.event(i64::MIN);
        assert!(timeline.parts.len() < 200);
    }

    #[test]
    fn a_short_stretch_is_in_minutes() {
        let mut timeline = Timeline::default();
        timeline.event(0);
        timeline.event(59_000_000);
        timeline.event(60_000_000);
        assert_eq!((timeline.step_s, timeline.parts.len()), (60, 2));
    }
}
