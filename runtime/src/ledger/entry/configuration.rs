//! The entry of a change of the configuration while the runtime was there.

use schemars::JsonSchema;
use serde::Deserialize;

use super::fields::{Text, Time, member, number_member, text_member, time_member};

/// Bytes of one difference, and how many of them an entry has.
const CHANGE_BYTES_MAX: usize = 400;
const CHANGES_MAX: usize = 64;

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
        let bounded = |text: &String| Text::from(text[..text.floor_char_boundary(CHANGE_BYTES_MAX)].to_string());
        ConfigurationEntry {
            changed: changed.iter().take(CHANGES_MAX).map(bounded).collect(),
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

    #[test]
    fn op03_a_change_of_the_configuration_has_one_form_and_fits() {
        let entry = |changed: &[String]| Entry::Configuration(3, ConfigurationEntry::new(changed, "configuration", "SIGHUP", 5));
        for changed in [vec![], vec!["server.retry-after-s: 1 -> 2".to_string()], vec!["\u{1}ä".repeat(900); 1_000]] {
            let mut line = Vec::new();
            entry(&changed).write(&mut line).expect("it fits");
            assert_eq!(Entry::parse_canonical(&line).expect("an entry"), entry(&changed));
        }
    }
}
