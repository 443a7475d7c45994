//! A client's own account of what it has sent and what it was told: whatever does not
//! fit together is noticed here, whoever forgot it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{event, ledger};

/// An event that was sent, maybe several times.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The event.
    pub event: Value,
    /// What was told of it, without the mark of a duplicate.
    pub answer: Option<Value>,
    /// An answer without the mark was seen.
    judged: bool,
}

impl Sent {
    /// The event as it is sent, each time the same.
    pub fn text(&self) -> String {
        self.event.to_string()
    }
}

/// Events of one source, by their ids.
#[derive(Debug, Default)]
pub struct Book {
    events: BTreeMap<String, Sent>,
}

impl Book {
    /// Notes an event that is about to be sent for the first time.
    ///
    /// # Panics
    ///
    /// If there is one of this id.
    pub fn note(&mut self, event: Value) {
        let id = event::text(&event, "id").to_string();
        let known = self.events.insert(id, Sent { event, answer: None, judged: false });
        assert!(known.is_none(), "ids are given once: {known:?}");
    }

    /// Notes an answer.
    ///
    /// # Panics
    ///
    /// If it is not what was answered before, or if the event was judged twice.
    pub fn take(&mut self, answer: Value) {
        assert!(answer.get("error").is_none(), "not an answer: {answer}");
        let sent = self.events.get_mut(event::text(&answer, "id")).unwrap_or_else(|| panic!("nobody sent the event of {answer}"));
        let (answer, duplicate) = ledger::unmarked(answer);
        assert!(duplicate || !sent.judged, "judged twice: {answer}, and before: {:?}", sent.answer);
        sent.judged |= !duplicate;
        match &sent.answer {
            None => sent.answer = Some(answer),
            Some(known) => assert_eq!(*known, answer, "what is said once stays"),
        }
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether no event was noted.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// An event, by its id.
    ///
    /// # Panics
    ///
    /// If nobody sent it.
    pub fn sent(&self, id: &str) -> &Sent {
        self.events.get(id).unwrap_or_else(|| panic!("nobody sent an event {id:?}"))
    }

    /// All events, in the order of their ids.
    pub fn all(&self) -> impl Iterator<Item = &Sent> {
        self.events.values()
    }

    /// Those that nobody has said anything about.
    pub fn unanswered(&self) -> impl Iterator<Item = &Sent> {
        self.all().filter(|sent| sent.answer.is_none())
    }

    /// Those that were answered.
    pub fn answered(&self) -> impl Iterator<Item = &Sent> {
        self.all().filter(|sent| sent.answer.is_some())
    }

    /// Holds the book against all entries of a ledger: they are dense from 1 on, no
    /// event has two, and what was answered is what is recorded. Beside events there are
    /// only starts, and changes of the policies and of what is kept.
    ///
    /// # Panics
    ///
    /// If not.
    pub fn assert_recorded(&self, lines: &[String]) {
        let mut seen = BTreeSet::new();
        for (sequence, line) in (1..).zip(lines) {
            let entry = ledger::parse(line);
            assert_eq!(event::sequence(&entry), sequence, "sequences are dense: {line}");
            match ledger::subject(&entry) {
                "event" => {}
                "change" | "start" | "keep" => continue,
                other => panic!("nobody expects a {other}: {line}"),
            }
            let id = event::text(&entry, "id").to_string();
            if let Some(answer) = &self.sent(&id).answer {
                assert_eq!(ledger::answer(&entry), *answer, "what was answered is what is recorded");
            }
            assert!(seen.insert(id), "an event with two entries: {line}");
        }
        for sent in self.answered() {
            assert!(seen.contains(event::text(&sent.event, "id")), "answered, but not recorded: {:?}", sent.answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn book(id: &str) -> Book {
        let mut book = Book::default();
        book.note(json!({ "id": id }));
        book
    }

    fn told(sequence: u64) -> Value {
        json!({"source": "/s", "id": "1", "sequence": sequence, "verdict": "allow", "findings": []})
    }

    fn again(sequence: u64) -> Value {
        let mut answer = told(sequence);
        answer["duplicate"] = true.into();
        answer
    }

    fn entry(sequence: u64) -> String {
        json!({"source": "/s", "id": "1", "sequence": sequence, "verdict": "allow", "asked": []}).to_string()
    }

    #[test]
    fn an_honest_ledger_fits() {
        let mut book = book("1");
        book.assert_recorded(&[]);
        book.assert_recorded(&[entry(1)]);
        assert_eq!((book.unanswered().count(), book.answered().count()), (1, 0));
        book.take(again(1));
        book.take(told(1));
        book.take(again(1));
        book.assert_recorded(&[entry(1)]);
        assert_eq!((book.unanswered().count(), book.answered().count()), (0, 1));
        // A start behind it is no event.
        let start = json!({"sequence": 2, "start": {"version": "0.1.0"}}).to_string();
        book.assert_recorded(&[entry(1), start]);
    }

    #[test]
    #[should_panic(expected = "sequences are dense")]
    fn a_missing_entry_is_noticed() {
        let book = book("1");
        book.assert_recorded(&[entry(2)]);
    }

    #[test]
    #[should_panic(expected = "nobody expects a timer")]
    fn a_strange_entry_is_noticed() {
        let book = book("1");
        book.assert_recorded(&[json!({"sequence": 1, "timer": {}}).to_string()]);
    }

    #[test]
    #[should_panic(expected = "judged twice")]
    fn a_second_judgement_is_noticed() {
        let mut book = book("1");
        book.take(told(1));
        book.take(told(1));
    }

    #[test]
    #[should_panic(expected = "what is said once stays")]
    fn another_answer_is_noticed() {
        let mut book = book("1");
        book.take(told(1));
        book.take(again(2));
    }

    #[test]
    #[should_panic(expected = "answered, but not recorded")]
    fn a_lost_answer_is_noticed() {
        let mut book = book("1");
        book.take(told(1));
        book.assert_recorded(&[]);
    }

    #[test]
    #[should_panic(expected = "an event with two entries")]
    fn a_second_entry_is_noticed() {
        let book = book("1");
        book.assert_recorded(&[entry(1), entry(2)]);
    }
}
