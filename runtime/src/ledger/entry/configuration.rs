//! The entry of a change of the configuration while the runtime was there.

use schemars::JsonSchema;
use serde::Deserialize;

use super::fields::{Text, Time, member, number_member, string, text_member, time_member};

/// Bytes of one difference, and how many of them an entry has.
const CHANGE_BYTES_MAX: usize = 400;
const CHANGES_MAX: usize = 64;
/// Bytes of all of them as they are written: escapes make them longer, and the entry has to
/// fit (`ENTRY_BYTES_MAX`) with what stands beside them.
const WRITTEN_BYTES_MAX: usize = 48 << 10;

/// What is configured otherwise from here on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigurationEntry<'a> {
    /// `KEY: BEFORE -> AFTER`, in the order of the keys, without anything secret.
    #[serde(borrow)]
    pub changed: Vec<Text<'a>>,
    /// How many there were; more than are said, where they were too many for an entry.
    pub changes: u64,
    /// Who changed it, as far as that is known.
    #[serde(borrow)]
    pub by: Text<'a>,
    /// What made the runtime read it again.
    #[serde(borrow)]
    pub reason: Text<'a>,
    pub at: Time,
}

impl ConfigurationEntry<'_> {
    /// The entry of these differences.
    pub fn new(changed: &[String], by: &str, reason: &str, at: i64) -> ConfigurationEntry<'static> {
        let mut written = Vec::new();
        let mut fits = |text: &&str| {
            string(&mut written, text);
            written.len() <= WRITTEN_BYTES_MAX
        };
        let bounded = changed.iter().take(CHANGES_MAX).map(|text| &text[..text.floor_char_boundary(CHANGE_BYTES_MAX)]);
        ConfigurationEntry {
            changed: bounded.take_while(|text| fits(text)).map(|text| text.to_string().into()).collect(),
            changes: changed.len() as u64,
            by: by.to_string().into(),
            reason: reason.to_string().into(),
            at: Time::from_micros(at),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"configuration\":{\"changed\":[");
        for (index, change) in self.changed.iter().enumerate() {
            member(out, if index == 0 { b"" } else { b"," }, change);
        }
        out.push(b']');
        number_member(out, "changes", self.changes);
        text_member(out, "by", &self.by);
        text_member(out, "reason", &self.reason);
        time_member(out, "at", self.at);
        out.extend_from_slice(b"}}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::Entry;
    use super::*;

    fn entry(changed: &[String]) -> ConfigurationEntry<'static> {
        ConfigurationEntry::new(changed, "configuration", "SIGHUP", 5)
    }

    #[test]
    fn op_03_a_change_of_the_configuration_has_one_form_and_fits() {
        for changed in [vec![], vec!["server.retry-after-s: 1 -> 2".to_string()], vec!["\u{1}ä".repeat(900); 1_000]] {
            let mut line = Vec::new();
            Entry::Configuration(3, entry(&changed)).write(&mut line).expect("it fits");
            assert_eq!(Entry::parse_canonical(&line).expect("an entry"), Entry::Configuration(3, entry(&changed)));
        }
    }

    #[test]
    fn as_many_differences_are_said_as_there_is_room_for() {
        let said = |changed: &[String]| (entry(changed).changed.len(), entry(changed).changes);
        assert_eq!(said(&vec!["x".repeat(900); 64]), (64, 64));
        assert_eq!(said(&vec!["x".to_string(); 65]), (64, 65));
        // Each of 133 pairs of these has eight bytes when it is written.
        assert_eq!(said(&vec!["\u{1}ä".repeat(900); 64]), (WRITTEN_BYTES_MAX / (133 * 8 + 6 + 2), 64));
    }
}
