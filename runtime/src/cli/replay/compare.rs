//! Recorded entries against replayed ones, line by line.
//!
//! Pure: lines go in, what differs comes out.

use serde::Serialize;
use serde_json::Value;

use super::entry::{Entry, is_event, without_sequence};

/// Members of a pair of lines that are named.
const MEMBERS_MAX: usize = 8;

/// What became of all entries.
#[derive(Debug, Default, Serialize)]
pub struct Comparison {
    /// The same byte for byte.
    pub equal: u64,
    /// The same but for their sequence, because of entries that are missing or too many
    /// before them.
    pub moved: u64,
    /// About the same thing, and other than recorded.
    pub different: u64,
    /// Recorded, and not there after the replay.
    pub missing: u64,
    /// Not recorded, and there after the replay.
    pub surplus: u64,
    /// The first of those that are not equal, in order.
    pub differences: Vec<Difference>,
}

/// An entry that is not as it was recorded.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub what: What,
    /// Of the recorded entry, if there is one.
    pub sequence: u64,
    pub recorded: Option<String>,
    pub replayed: Option<String>,
    /// The members that differ, at most [`MEMBERS_MAX`] of them.
    pub members: Vec<Member>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    Moved,
    Different,
    Missing,
    Surplus,
}

impl What {
    pub fn name(self) -> &'static str {
        match self {
            What::Moved => "moved",
            What::Different => "different",
            What::Missing => "missing",
            What::Surplus => "surplus",
        }
    }
}

/// A member that differs, by its place in the line (RFC 6901), with both values.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    pub pointer: String,
    pub recorded: Option<Value>,
    pub replayed: Option<Value>,
}

impl Comparison {
    /// Entries that were looked at, on either side.
    pub fn total(&self) -> u64 {
        self.equal + self.moved + self.different + self.missing + self.surplus
    }

    /// Whether everything is as it was recorded.
    pub fn is_equal(&self) -> bool {
        self.equal == self.total()
    }

    fn note(&mut self, what: What, pair: (Option<&Line>, Option<&Line>), max: usize) {
        *match what {
            What::Moved => &mut self.moved,
            What::Different => &mut self.different,
            What::Missing => &mut self.missing,
            What::Surplus => &mut self.surplus,
        } += 1;
        // What only moved is no difference of its own, unless nothing else is.
        if self.differences.len() >= max || what == What::Moved && !self.differences.is_empty() {
            return;
        }
        let (recorded, replayed) = pair;
        let sequence = recorded.or(replayed).map_or(0, |(sequence, _)| *sequence);
        let members = match (recorded, replayed) {
            (Some((_, one)), Some((_, other))) => members(one, other),
            _ => Vec::new(),
        };
        let text = |line: Option<&Line>| line.map(|(_, text)| text.clone());
        self.differences.push(Difference { what, sequence, recorded: text(recorded), replayed: text(replayed), members });
    }
}

/// Sequence and text.
type Line = (u64, String);

/// An event's entry, and what was recorded before it since the event before.
#[derive(Default)]
struct Block {
    before: Vec<Line>,
    /// Absent behind the last event.
    event: Option<Line>,
}

/// Takes the next block; nothing at the end.
fn block<E>(lines: &mut impl Iterator<Item = Result<Line, E>>) -> Result<Option<Block>, E> {
    let mut block = Block::default();
    for line in lines {
        let line = line?;
        if is_event(&line.1) {
            block.event = Some(line);
            return Ok(Some(block));
        }
        block.before.push(line);
    }
    Ok((!block.before.is_empty()).then_some(block))
}

/// Compares two ledgers. Keeps the first `max` differences in full.
///
/// # Errors
///
/// If one of them cannot be read.
pub fn compare<E>(
    mut recorded: impl Iterator<Item = Result<Line, E>>,
    mut replayed: impl Iterator<Item = Result<Line, E>>,
    max: usize,
) -> Result<Comparison, E> {
    let mut found = Comparison::default();
    let mut replay = block(&mut replayed)?;
    while let Some(record) = block(&mut recorded)? {
        // Events are in the same order on both sides. So where another one stands, the
        // recorded one is missing.
        match replay.take() {
            Some(other) if same_event(&record, &other) => {
                found.others(&record.before, &other.before, max);
                match (&record.event, &other.event) {
                    (None, None) => {}
                    (one, other) => found.pair(one.as_ref(), other.as_ref(), max),
                }
                replay = block(&mut replayed)?;
            }
            other => {
                record.before.iter().chain(&record.event).for_each(|line| found.pair(Some(line), None, max));
                replay = other;
            }
        }
    }
    while let Some(other) = replay {
        other.before.iter().chain(&other.event).for_each(|line| found.pair(None, Some(line), max));
        replay = block(&mut replayed)?;
    }
    Ok(found)
}

/// Whether two blocks are of the same event. What stands behind the last event of either
/// side is compared with whatever comes next on the other.
fn same_event(one: &Block, other: &Block) -> bool {
    match (&one.event, &other.event) {
        (Some((_, one)), Some((_, other))) => without_sequence(one) == without_sequence(other) || name(one) == name(other),
        _ => true,
    }
}

/// What an entry is about.
fn name(line: &str) -> Option<[String; 4]> {
    Some(match Entry::read(line).ok()? {
        Entry::Event(event) => ["event".into(), event.source.to_string(), event.id.to_string(), String::new()],
        Entry::Timer(timer) => ["timer".into(), timer.asked.policy.to_string(), timer.key.to_string(), timer.due.to_string()],
        Entry::Change(change) => ["change".into(), change.policy.to_string(), change.digest.to_string(), change.what.to_string()],
        Entry::Start(_) => ["start".into(), String::new(), String::new(), String::new()],
        Entry::Other(name, content) => [name.into(), content.into(), String::new(), String::new()],
    })
}

impl Comparison {
    /// Compares what was recorded before the same event.
    fn others(&mut self, recorded: &[Line], replayed: &[Line], max: usize) {
        let names = |lines: &[Line]| lines.iter().map(|(_, line)| name(line)).collect::<Vec<_>>();
        if recorded.iter().map(|(_, line)| line).eq(replayed.iter().map(|(_, line)| line)) {
            self.equal += recorded.len() as u64;
            return;
        }
        let (one, other) = (names(recorded), names(replayed));
        let mut next = 0;
        for (at, name) in one.iter().enumerate() {
            // What stands before its counterpart, and has none itself, is too many.
            let place = other[next..].iter().position(|other| other == name).map(|offset| next + offset);
            let until = place.unwrap_or(next);
            replayed[next..until].iter().for_each(|line| self.pair(None, Some(line), max));
            self.pair(Some(&recorded[at]), place.map(|place| &replayed[place]), max);
            next = place.map_or(until, |place| place + 1);
        }
        replayed[next..].iter().for_each(|line| self.pair(None, Some(line), max));
    }

    fn pair(&mut self, recorded: Option<&Line>, replayed: Option<&Line>, max: usize) {
        match (recorded, replayed) {
            (Some((_, one)), Some((_, other))) if one == other => self.equal += 1,
            (Some((_, one)), Some((_, other))) if without_sequence(one) == without_sequence(other) => {
                self.note(What::Moved, (recorded, replayed), max);
            }
            (Some(_), Some(_)) => self.note(What::Different, (recorded, replayed), max),
            (Some(_), None) => self.note(What::Missing, (recorded, replayed), max),
            (None, _) => self.note(What::Surplus, (recorded, replayed), max),
        }
    }
}

/// Where two lines differ.
fn members(one: &str, other: &str) -> Vec<Member> {
    let mut found = Vec::new();
    let (Ok(one), Ok(other)) = (serde_json::from_str(one), serde_json::from_str(other)) else { return found };
    differ(&one, &other, &mut String::new(), &mut found);
    found
}

fn differ(one: &Value, other: &Value, at: &mut String, found: &mut Vec<Member>) {
    if one == other || found.len() >= MEMBERS_MAX {
        return;
    }
    let mut inside = |step: &str, one: Option<&Value>, other: Option<&Value>| {
        let length = at.len();
        at.push('/');
        at.push_str(&step.replace('~', "~0").replace('/', "~1"));
        match (one, other) {
            (Some(one), Some(other)) => differ(one, other, at, found),
            _ if found.len() < MEMBERS_MAX => {
                found.push(Member { pointer: at.clone(), recorded: one.cloned(), replayed: other.cloned() });
            }
            _ => {}
        }
        at.truncate(length);
    };
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.iter().for_each(|(name, value)| inside(name, Some(value), other.get(name)));
            other.iter().filter(|(name, _)| !one.contains_key(*name)).for_each(|(name, value)| inside(name, None, Some(value)));
        }
        (Value::Array(one), Value::Array(other)) => {
            (0..one.len().max(other.len())).for_each(|index| inside(&index.to_string(), one.get(index), other.get(index)));
        }
        _ => found.push(Member { pointer: at.clone(), recorded: Some(one.clone()), replayed: Some(other.clone()) }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::{event, finding, timer};
    use super::*;

    fn compared(recorded: &[String], replayed: &[String]) -> Comparison {
        let lines = |lines: &[String]| (1..).zip(lines.to_vec()).map(Ok::<_, std::convert::Infallible>).collect::<Vec<_>>();
        compare(lines(recorded).into_iter(), lines(replayed).into_iter(), 10).expect("readable")
    }

    fn counts(found: &Comparison) -> [u64; 5] {
        [found.equal, found.moved, found.different, found.missing, found.surplus]
    }

    #[test]
    fn equal_ledgers_are_equal() {
        let lines = [event(1, "1", "allow", ""), timer(2, "k", "allow", ""), event(3, "2", "allow", "")];
        let found = compared(&lines, &lines);
        assert!(found.is_equal() && found.differences.is_empty());
        assert_eq!((counts(&found), found.total()), ([3, 0, 0, 0, 0], 3));
    }

    #[test]
    fn a_difference_is_named_by_its_member() {
        let one = event(1, "1", "flag", &format!("\"findings\":[{}]", finding("r", "KNIFE")));
        let other = event(1, "1", "flag", &format!("\"findings\":[{}]", finding("r", "GUN")));
        let found = compared(std::slice::from_ref(&one), std::slice::from_ref(&other));
        assert_eq!(counts(&found), [0, 0, 1, 0, 0]);
        let [difference] = &found.differences[..] else { panic!("one difference") };
        assert_eq!((difference.what, difference.sequence, &difference.recorded), (What::Different, 1, &Some(one)));
        let pointers: Vec<&str> = difference.members.iter().map(|member| member.pointer.as_str()).collect();
        assert_eq!(pointers, ["/asked/0/findings/0/evidence/word", "/asked/0/findings/0/message"]);
        assert_eq!(difference.members[0].replayed, Some("GUN".into()));
    }

    #[test]
    fn a_missing_entry_is_one_difference_and_not_all_that_follow() {
        let recorded = [
            event(1, "1", "allow", ""),
            timer(2, "a", "allow", ""),
            timer(3, "b", "allow", ""),
            event(4, "2", "allow", ""),
            event(5, "3", "allow", ""),
        ];
        let replayed = [event(1, "1", "allow", ""), timer(2, "b", "allow", ""), event(3, "2", "allow", ""), event(4, "3", "allow", "")];
        let found = compared(&recorded, &replayed);
        assert_eq!(counts(&found), [1, 3, 0, 1, 0]);
        assert_eq!((found.differences.len(), found.differences[0].what, found.differences[0].sequence), (1, What::Missing, 2));
        let found = compared(&replayed, &recorded);
        assert_eq!(counts(&found), [1, 3, 0, 0, 1]);
        assert_eq!(found.differences[0].what, What::Surplus);
        let found = compared(&recorded, &recorded[..3]);
        assert_eq!(counts(&found), [3, 0, 0, 2, 0]);
        // An event that was not taken.
        let refused = [event(1, "1", "allow", ""), event(2, "3", "allow", "")];
        let found = compared(&[event(1, "1", "allow", ""), event(2, "2", "allow", ""), event(3, "3", "allow", "")], &refused);
        assert_eq!(counts(&found), [1, 1, 0, 1, 0]);
    }

    #[test]
    fn what_cannot_be_read_ends_it() {
        let broken: Vec<Result<Line, &str>> = vec![Err("broken")];
        assert_eq!(compare(broken.into_iter(), std::iter::empty(), 1).expect_err("broken"), "broken");
    }
}
