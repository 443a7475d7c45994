//! What is different between two versions of a list.

use std::cmp::Ordering;
use std::iter::Peekable;

use super::List;

/// A key with what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// Only the later list has the key, with this value.
    Added(&'a str, &'a str),
    /// Only the earlier list has the key, with this value.
    Removed(&'a str, &'a str),
    /// Both have the key: the earlier list with the first value, the later one with
    /// the second.
    Changed(&'a str, &'a str, &'a str),
}

/// The changes from one list to another, ascending by key.
pub struct Changes<A: Iterator, B: Iterator> {
    before: Peekable<A>,
    after: Peekable<B>,
}

/// What has to be done to one list so that it becomes the other.
pub fn diff<'a>(
    before: &'a List,
    after: &'a List,
) -> Changes<impl Iterator<Item = (&'a str, &'a str)>, impl Iterator<Item = (&'a str, &'a str)>> {
    Changes { before: before.iter().peekable(), after: after.iter().peekable() }
}

impl<'a, A, B> Iterator for Changes<A, B>
where
    A: Iterator<Item = (&'a str, &'a str)>,
    B: Iterator<Item = (&'a str, &'a str)>,
{
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        loop {
            let order = match (self.before.peek(), self.after.peek()) {
                (Some((before, _)), Some((after, _))) => before.cmp(after),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return None,
            };
            match order {
                Ordering::Less => return self.before.next().map(|(key, value)| Change::Removed(key, value)),
                Ordering::Greater => return self.after.next().map(|(key, value)| Change::Added(key, value)),
                Ordering::Equal => {
                    let ((key, before), (_, after)) = self.before.next().zip(self.after.next())?;
                    if before != after {
                        return Some(Change::Changed(key, before, after));
                    }
                }
            }
        }
    }
}
