//! What the simulation sends: new events and those that were sent before, late ones and
//! ones from the future, complete and broken ones.

use std::fmt::Write as _;
use std::sync::Arc;

use super::model::{Sent, WATCHED};
use super::policies::FAULTS;
use crate::ledger::faulty::Random;
use crate::ledger::time_text;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Whose states there are.
pub(super) const KEYS: [&str; 7] = ["ann", "bob", "cem", "dora", "eve", "finn", "gul"];

/// Events that were sent, and what comes next.
#[derive(Default)]
pub(super) struct Traffic {
    pub sent: Vec<Sent>,
    /// The number that the numbered source gave last.
    number: u64,
}

impl Traffic {
    /// An event, at this time.
    pub fn next(&mut self, random: &mut Random, now: i64) -> Sent {
        let sent = match random.below(10) {
            0..2 if !self.sent.is_empty() => return self.sent[random.below(self.sent.len())].clone(),
            // Soon again.
            2 if !self.sent.is_empty() => return self.sent[self.sent.len() - 1 - random.below(self.sent.len().min(3))].clone(),
            3 if !self.sent.is_empty() => {
                let mut other = self.sent[random.below(self.sent.len())].clone();
                other.amount = Some(900 + random.below(100) as i64);
                other
            }
            _ => self.fresh(random, now),
        };
        let sent = Sent { text: text(&sent).into(), ..sent };
        self.sent.push(sent.clone());
        sent
    }

    fn fresh(&mut self, random: &mut Random, now: i64) -> Sent {
        let source = [WATCHED, "/s1", "/s2"][random.below(3)].to_string();
        // The first source says nothing of time, or next to nothing: what it has sent is
        // never too old to be known.
        let time = match random.below(if source == WATCHED { 4 } else { 12 }) {
            0 | 1 => None,
            2 | 3 => Some(now - random.below(30) as i64 * SECOND),
            4..8 => Some(now - random.below(7_200) as i64 * SECOND),
            8 => Some(now + 3 * DAY),
            9 => Some(now - 10 * DAY),
            10 => Some(now - 2 * DAY),
            _ => Some(now + random.below(600) as i64 * SECOND),
        };
        let time = if source == WATCHED { time } else { Some(time.unwrap_or(now)) };
        let number = (source == "/s1").then(|| {
            match random.below(6) {
                0 => self.number += 1 + random.below(4) as u64,
                1 => return self.number.saturating_sub(random.below(6) as u64),
                _ => self.number += 1,
            }
            self.number
        });
        let mark = match random.below(8) {
            0 => Some(format!("{}:{}", ["limit", "count"][random.below(2)], FAULTS[random.below(FAULTS.len())].name())),
            1 => Some("nothing".into()),
            _ => None,
        };
        Sent {
            text: Arc::default(),
            id: format!("e{}", self.sent.len()),
            source,
            kind: ["sim.order", "sim.order", "sim.order", "sim.payment", "sim.other"][random.below(5)],
            subject: (random.below(3) > 0).then(|| KEYS[random.below(KEYS.len())].to_string()),
            time,
            number,
            amount: (random.below(20) > 0).then(|| random.below(100) as i64 - 5),
            who: (random.below(20) > 0).then(|| KEYS[random.below(KEYS.len())].to_string()),
            mark,
        }
    }
}

/// An event in structured mode. One whose amount is missing has none, or a text.
fn text(sent: &Sent) -> String {
    let mut text = format!(r#"{{"specversion":"1.0","id":"{}","source":"{}","type":"{}""#, sent.id, sent.source, sent.kind);
    let mut member = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = write!(text, r#","{name}":"{value}""#);
        }
    };
    member("subject", sent.subject.clone());
    member("time", sent.time.map(time_text));
    member("sequence", sent.number.map(|number| number.to_string()));
    let mut data = Vec::new();
    match sent.amount {
        Some(amount) => data.push(format!(r#""amount":{amount}"#)),
        None if sent.id.len().is_multiple_of(2) => data.push(r#""amount":"much""#.into()),
        None => {}
    }
    data.extend(sent.who.as_ref().map(|who| format!(r#""who":"{who}""#)));
    data.extend(sent.mark.as_ref().map(|mark| format!(r#""mark":"{mark}""#)));
    let _ = write!(text, r#","data":{{{}}}}}"#, data.join(","));
    text
}

/// Something that is no event.
pub(super) fn broken(random: &mut Random) -> &'static str {
    [
        r#"{"specversion":"1.0","id":"x","id":"y","source":"/s0","type":"sim.order"}"#,
        r#"{"specversion":"1.0","id":"x","source":"/s0","type":"sim.order","data":{"amount":1,"amount":2}}"#,
        r#"{"specversion":"1.0","id":"x","source":"/s0"}"#,
        r#"{"specversion":"1.0","id":"x","source":"urn:ephor:verdicts#/s0","type":"sim.order"}"#,
        r#"{"specversion":"1.0","id":"x","source":"/s0","type":"sim.order","time":"yesterday"}"#,
        "{",
    ][random.below(6)]
}
