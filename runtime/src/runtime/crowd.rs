//! How many policies may be asked about one event: its entry has to hold what each of them
//! says, and is as long as a tile can hold (64 KiB). How many are loaded beside them does
//! not matter to it.

use std::collections::BTreeSet;

use super::line::Line;
use crate::policy::manifest::names;
use crate::sandbox::LoadError;

/// Policies that are asked about one event, at most.
const ASKED_MAX: usize = 48;

/// Policies in force, at most.
const LOADED_MAX: usize = 1_024;

/// Holds the policies that are to be in force against both bounds.
pub(super) fn check<'l>(lines: impl Iterator<Item = &'l Line>) -> Result<(), LoadError> {
    let patterns = |line: &'l Line| -> Vec<&'l str> {
        line.releases().flat_map(|installed| &installed.image.release().manifest.events).map(String::as_str).collect()
    };
    let asked: Vec<Vec<&str>> = lines.filter(|line| !line.is_empty()).map(patterns).collect();
    if asked.len() > LOADED_MAX {
        return Err(LoadError::TooMany { max: LOADED_MAX });
    }
    match crowded(&asked, ASKED_MAX) {
        Some(events) => Err(LoadError::Crowded { events: events.into(), max: ASKED_MAX }),
        None => Ok(()),
    }
}

/// A type, or a pattern of types, that more policies ask about than may.
///
/// A type that is asked about by its name is known. Any other one is asked about by patterns
/// only, all of which overlap with each of them; so those that overlap with one pattern are
/// as many or more.
fn crowded<'p>(asked: &[Vec<&'p str>], max: usize) -> Option<&'p str> {
    if asked.len() <= max {
        return None;
    }
    let all: BTreeSet<&str> = asked.iter().flatten().copied().collect();
    all.into_iter().find(|events| {
        let together = |pattern: &&str| match is_pattern(events) {
            true => is_pattern(pattern) && overlap(pattern, events),
            false => names(pattern, events),
        };
        asked.iter().filter(|patterns| patterns.iter().any(together)).count() > max
    })
}

fn is_pattern(events: &str) -> bool {
    events.contains('*')
}

/// Whether there may be a type that both name: neither what they begin with nor what they
/// end with contradicts it.
fn overlap(one: &str, other: &str) -> bool {
    let ends = |pattern: &str| -> Option<(String, String)> {
        let ((begin, _), (_, end)) = (pattern.split_once('*')?, pattern.rsplit_once('*')?);
        Some((begin.into(), end.into()))
    };
    let (Some((begin, end)), Some((other_begin, other_end))) = (ends(one), ends(other)) else { return false };
    (begin.starts_with(&other_begin) || other_begin.starts_with(&begin)) && (end.ends_with(&other_end) || other_end.ends_with(&end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(patterns: &[&'static str]) -> Vec<Vec<&'static str>> {
        patterns.iter().map(|patterns| patterns.split(' ').collect()).collect()
    }

    #[test]
    fn policies_about_other_events_are_not_in_each_others_way() {
        assert_eq!(crowded(&of(&["a.x", "a.y", "b.x", "b.y a.z"]), 1), None);
        assert_eq!(crowded(&of(&["a.x", "a.y", "a.x", "b.*"]), 2), None);
        assert_eq!(crowded(&of(&["a.*", "b.*", "c.*", "b.x"]), 2), None);
    }

    #[test]
    fn policies_that_one_event_can_meet_are_counted_together() {
        assert_eq!(crowded(&of(&["a.x", "a.x c", "b"]), 1), Some("a.x"));
        // By name and by pattern.
        assert_eq!(crowded(&of(&["a.x", "a.*", "b"]), 1), Some("a.x"));
        assert_eq!(crowded(&of(&["a.x", "*", "b", "c"]), 2), None);
        // By patterns alone: a.q.c is asked about by all three.
        assert_eq!(crowded(&of(&["a.*", "*.c", "*"]), 2), Some("*"));
        // More are counted than meet: no type begins with both.
        assert_eq!(crowded(&of(&["a.*", "b.*", "*.c"]), 2), Some("*.c"));
        // One policy counts once, however many of its patterns fit.
        assert_eq!(crowded(&of(&["a.* a.b.* *", "a.b.*", "b"]), 2), None);
    }
}
