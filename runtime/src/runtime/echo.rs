//! Verdict events: what the runtime submits to itself about its own verdicts, for policies
//! that ask about [`VERDICT_TYPE`].
//!
//! Behind a batch come, as events with entries of their own, those about its entries with
//! findings, in the order of these. An entry says whether one comes (`echo`), so what a
//! crash left out is known from the entries alone, and made of them again: a verdict event
//! is a function of its entry. None waits in the queue, so there is none that could find
//! it full; and each is one step further from what came from outside, so there is an end.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::column::time_micros;
use crate::digest::Digest;
use crate::event::{Data, Event, Members, Piece};
use crate::ledger::entry::{Echo, Entry, Identity};
use crate::reserved::{self, VERDICT_TYPE};

/// The event about the verdict of an entry, if the entry says that one comes.
pub(super) fn of_entry(entry: &Entry<'_>) -> Option<Event> {
    let Echo { text, id, source, subject, time, data, arrived } = entry.echo()?;
    let own = |text: String| Piece::Own(text.into());
    Some(Event {
        digest: Digest::of(text.as_bytes()),
        time_micros: time_micros(&time),
        source: own(source),
        id: own(id),
        kind: own(VERDICT_TYPE.into()),
        subject: Some(own(subject)),
        time: Some(own(time)),
        data: Data::Json(Piece::Span(data.start as u32..data.end as u32)),
        members: Members::default(),
        other: vec![(own("datacontenttype".into()), own("\"application/json\"".into()))],
        in_headers: false,
        arrived: Some(arrived),
        text: text.into(),
        body: None,
    })
}

/// The event about the verdict of an entry, by the entry's line: nothing if none comes
/// behind it. For a replay, which puts it where it was recorded; a runtime that makes its
/// own must not be given any.
///
/// # Errors
///
/// If the line is no entry.
pub fn verdict_event(line: &str) -> Result<Option<Event>, String> {
    let entry = Entry::parse(line.as_bytes()).map_err(|error| error.to_string())?;
    Ok(of_entry(&entry))
}

/// Steps from what came from outside: 0 for that itself.
pub(super) fn depth(event: &Event) -> u32 {
    #[derive(Deserialize)]
    struct Depth {
        depth: u32,
    }
    if !reserved::is_own_source(event.source()) {
        return 0;
    }
    // Nobody else makes such events. If one did, nothing would come of it.
    let read = event.data().and_then(|data| serde_json::from_str::<Depth>(data).ok());
    read.map_or(u32::MAX, |data| data.depth)
}

/// Entries that an event is to come behind, while the ledger is read: those whose event is
/// not there in the end were cut off by a crash.
#[derive(Default)]
pub(super) struct Outstanding(BTreeMap<u64, Box<[u8]>>);

impl Outstanding {
    /// Takes note of the entry of an event.
    pub fn event(&mut self, sequence: u64, event: &Identity<'_>, line: &[u8]) {
        if reserved::judged_by(&event.source).is_some()
            && let Ok(about) = event.id.parse()
        {
            self.0.remove(&about);
        }
        if event.echo.is_some() {
            self.0.insert(sequence, line.into());
        }
    }

    /// Takes note of the entry of a timer.
    pub fn timer(&mut self, sequence: u64, line: &[u8]) {
        self.0.insert(sequence, line.into());
    }

    /// The events that are still to come, in their order.
    pub fn events(self) -> Result<Vec<Event>, String> {
        let event = |(sequence, line): (u64, Box<[u8]>)| {
            let entry = Entry::parse(&line).map_err(|error| format!("entry {sequence}: {error}"))?;
            of_entry(&entry).ok_or_else(|| format!("entry {sequence}: no event can come behind it"))
        };
        self.0.into_iter().map(event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest;
    use crate::ledger::entry::TimerEntry;

    /// An entry with a finding of one policy that counts and one of another that does not.
    const ENTRY: &str = r#"{"sequence":17,"source":"/shop","id":"a\"1","type":"shop.order","subject":"seller/7","time":"2026-01-02T03:04:05+01:00","arrived":"2026-01-02T03:04:06.000007Z","echo":1,"digest":"0000000000000000000000000000000000000000000000000000000000000000","verdict":"deny","asked":[{"policy":"office/goods","release":"1-a","digest":"1111111111111111111111111111111111111111111111111111111111111111","mode":"enforce","findings":[{"rule":"listed","action":"deny","severity":"high","message":"sells a KNIFE","evidence":{"word":"KNIFE"},"legal_basis":"article 13"}]},{"policy":"prices","release":"2-b","digest":"2222222222222222222222222222222222222222222222222222222222222222","mode":"shadow","findings":[{"rule":"unequal","action":"flag","severity":"low","message":"m","evidence":{},"legal_basis":"l"}]}]}"#;

    const TIMER: &str = r#"{"sequence":18,"timer":{"echo":2,"policy":"idle","release":"1-a","digest":"1111111111111111111111111111111111111111111111111111111111111111","mode":"canary","source":"/fleet","key":"3333333333333333333333333333333333333333333333333333333333333333","due":"2026-01-01T00:00:00.000000Z","arrived":"2026-01-02T00:00:00.000000Z","verdict":"flag","findings":[{"rule":"stands","action":"flag","severity":"medium","message":"m","evidence":{},"legal_basis":"l"}]}}"#;

    fn made(line: &str) -> Event {
        verdict_event(line).expect("an entry").expect("an event comes behind it")
    }

    fn read_again(event: &Event) -> Event {
        let again = ingest::any_structured(event.text.as_bytes(), &ingest::Limits::default()).expect("it is an event");
        again.with_arrival(event.arrived.expect("it has arrived"))
    }

    #[test]
    fn it_says_who_found_what_about_whom_and_no_evidence() {
        let event = made(ENTRY);
        assert_eq!(
            &*event.text,
            r#"{"specversion":"1.0","id":"17","source":"urn:ephor:verdicts#/shop","type":"dev.ephor.verdict.v1","subject":"seller/7","time":"2026-01-02T03:04:05+01:00","datacontenttype":"application/json","data":{"sequence":17,"depth":1,"event":{"source":"/shop","id":"a\"1","type":"shop.order","subject":"seller/7","time":"2026-01-02T03:04:05+01:00"},"verdict":"deny","findings":[{"policy":"office/goods","rule":"listed","action":"deny","severity":"high","mode":"enforce"},{"policy":"prices","rule":"unequal","action":"flag","severity":"low","mode":"shadow"}]}}"#
        );
        assert_eq!(event.arrived, Some(1_767_323_046_000_007), "with what it is about");
        assert!(!event.text.contains("KNIFE"));
    }

    #[test]
    fn it_is_the_event_that_its_text_is_read_as() {
        for line in [ENTRY, TIMER] {
            let (event, again) = (made(line), read_again(&made(line)));
            let parts = |event: &Event| {
                let named = [event.source(), event.id(), event.kind()].map(str::to_string);
                let optional = [event.subject(), event.time(), event.data()].map(|text| text.map(str::to_string));
                let others: Vec<_> = event.others().map(|(name, value)| (name.to_string(), value.to_string())).collect();
                (named, optional, others, *event.digest(), event.time_micros(), event.number(), event.content().into_owned())
            };
            assert_eq!(parts(&event), parts(&again));
            assert_eq!(event.digest(), &event.content().digest());
            assert_eq!((depth(&event), depth(&again)), (depth(&again), if line == ENTRY { 1 } else { 2 }));
        }
        let outside = ingest::structured(
            br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"depth":5}}"#,
            &ingest::Limits::default(),
        );
        assert_eq!(depth(&outside.expect("an event")), 0, "whatever it says");
    }

    #[test]
    fn it_is_read_again_of_what_is_kept_and_never_taken_from_outside() {
        let event = made(&ENTRY.replace("/shop", &"s".repeat(100)));
        let tight = ingest::Limits { event_bytes_max: 256, attribute_bytes_max: 100, ..ingest::Limits::default() };
        let again = ingest::content(&event.content(), &tight).expect("whatever the limits are");
        assert_eq!((again.digest(), again.source()), (event.digest(), event.source()));
        let outside = ingest::structured(event.text.as_bytes(), &ingest::Limits::default()).expect_err("refused");
        assert_eq!(outside.kind, ingest::RejectionKind::Reserved);
    }

    #[test]
    fn one_about_a_timer_says_when_it_was_due_and_of_which_source() {
        let event = made(TIMER);
        assert_eq!((event.source(), event.id(), event.subject()), ("urn:ephor:verdicts#/fleet", "18", Some("/fleet")));
        assert_eq!(event.time(), Some("2026-01-01T00:00:00.000000Z"));
        let data = event.data().expect("data");
        assert!(!data.contains("subject"), "{data}");
        assert!(data.contains(r#""timer":{"policy":"idle","source":"/fleet","due":"2026-01-01T00:00:00.000000Z"}"#), "{data}");
        assert!(data.contains(r#""mode":"canary""#) && !data.contains("3333"), "{data}");
    }

    #[test]
    fn none_comes_behind_an_entry_that_does_not_say_so() {
        let quiet = ENTRY.replace(r#""echo":1,"#, "");
        assert!(verdict_event(&quiet).expect("an entry").is_none());
        let gap = r#"{"sequence":1,"gap":{"source":"/s","after":1,"before":3,"missing":1,"arrived":"2026-01-02T00:00:00.000000Z"}}"#;
        assert!(verdict_event(gap).expect("an entry").is_none());
        assert!(verdict_event("{}").is_err());
    }

    #[test]
    fn an_event_without_a_time_happened_when_it_arrived() {
        let event = made(&ENTRY.replace(r#""time":"2026-01-02T03:04:05+01:00","#, ""));
        assert_eq!(event.time(), Some("2026-01-02T03:04:06.000007Z"));
        assert!(!event.data().expect("data").contains("\"time\""), "its event has none");
    }

    #[test]
    fn what_is_outstanding_is_what_no_entry_is_about() {
        let mut outstanding = Outstanding::default();
        let mut note = |sequence: u64, line: &str| {
            let line = line.as_bytes();
            match Identity::read(line).expect("an entry") {
                Some(event) => outstanding.event(sequence, &event, line),
                None if TimerEntry::has_echo(line) => outstanding.timer(sequence, line),
                None => {}
            }
        };
        note(17, ENTRY);
        note(18, TIMER);
        note(19, &ENTRY.replace("\"sequence\":17", "\"sequence\":19").replace(r#""echo":1,"#, ""));
        // That about 17, about which none comes; and one of somebody who has the same id.
        let about = |sequence: u64, source: &str| {
            ENTRY
                .replace("\"sequence\":17", &format!("\"sequence\":{sequence}"))
                .replace(r#"a\"1"#, "17")
                .replace("/shop", source)
                .replace(r#""echo":1,"#, "")
        };
        note(20, &about(20, "/other"));
        note(21, &about(21, "urn:ephor:verdicts#/shop"));
        let left = outstanding.events().expect("events");
        assert_eq!(left.iter().map(Event::id).collect::<Vec<_>>(), ["18"]);
    }
}
