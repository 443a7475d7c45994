//! Entries for the tests of this room.

use crate::digest::Digest;

/// An event's entry with what one release said.
pub fn event(sequence: u64, id: &str, verdict: &str, said: &str) -> String {
    let said = if said.is_empty() { String::new() } else { format!(",{said}") };
    format!(
        r#"{{"sequence":{sequence},"source":"/s","id":"{id}","type":"t","subject":"x","time":"2026-01-02T03:04:05Z","arrived":"2026-01-02T03:04:05.000000Z","digest":"{}","verdict":"{verdict}","asked":[{{"policy":"p","release":"1-a","digest":"{}","mode":"enforce","columns":"{}"{said}}}]}}"#,
        "0".repeat(64),
        "1".repeat(64),
        "2".repeat(64)
    )
}

/// The words of one finding.
pub fn finding(rule: &str, word: &str) -> String {
    format!(
        r#"{{"rule":"{rule}","action":"flag","severity":"low","message":"has {word}","evidence":{{"word":"{word}"}},"legal_basis":"none"}}"#
    )
}

/// A timer's entry; its key is named by a digest.
pub fn timer(sequence: u64, key: &str, verdict: &str, said: &str) -> String {
    let said = if said.is_empty() { String::new() } else { format!(",{said}") };
    format!(
        r#"{{"sequence":{sequence},"timer":{{"policy":"p","release":"1-a","digest":"{}","mode":"enforce","source":"/s","key":"{}","due":"2026-01-03T00:00:00.000000Z","arrived":"2026-01-03T00:00:00.000000Z","verdict":"{verdict}"{said}}}}}"#,
        "1".repeat(64),
        Digest::of(key.as_bytes()).hex()
    )
}
