//! How one configuration differs from another.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::Config;
use super::reference::inline;
use super::words::without_credentials;
use crate::policy::publisher::dotted;

/// A key whose value is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The key, with the tables that it is in.
    pub key: String,
    /// As TOML; nothing if it was not there.
    pub before: Option<String>,
    /// As TOML; nothing if it is gone.
    pub after: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
        write!(f, "{}: {} -> {}", self.key, of(&self.before), of(&self.after))
    }
}

impl Config {
    /// Every key that is another one in `after`, by name.
    pub fn differences(&self, after: &Config) -> Vec<Difference> {
        let value = |config: &Config| serde_json::to_value(config).unwrap_or_default();
        let mut found = Vec::new();
        compare(Some(&value(self)), Some(&value(after)), &mut Vec::new(), &mut found);
        found
    }
}

fn compare(before: Option<&Value>, after: Option<&Value>, path: &mut Vec<String>, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    let table = |value: Option<&Value>| match value {
        None => Some(serde_json::Map::new()),
        Some(value) => value.as_object().cloned(),
    };
    let (one, other) = (table(before), table(after));
    let is_form = |table: &serde_json::Map<String, Value>| table.contains_key("form");
    match (one, other) {
        // A form is one value, whichever way it is written.
        (Some(one), Some(other))
            if !is_form(&one) && !is_form(&other) && (before.is_some_and(Value::is_object) || after.is_some_and(Value::is_object)) =>
        {
            for name in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
                path.push(name.clone());
                compare(one.get(name), other.get(name), path, found);
                path.pop();
            }
        }
        _ => {
            let shown = |value: &Value| without_credentials(&inline(value));
            found.push(Difference { key: dotted(path), before: before.map(shown), after: after.map(shown) });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Checked;

    #[test]
    fn differences_are_named_key_by_key() {
        let config = |text: &str| Checked::new(text).config;
        let before = config("[spine]\nthreads = 2\n[spine.heartbeats]\n\"/shop\" = 60\n[ledger]\nevents = \"full\"\n");
        let after = config("[spine.heartbeats]\n\"/shop\" = 30\n\"/new\" = 5\n[ledger]\nevents = { days = 30 }\n");
        let said: Vec<String> = before.differences(&after).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "ledger.events: \"full\" -> { days = 30 }",
                "spine.heartbeats.\"/new\": nothing -> 5",
                "spine.heartbeats.\"/shop\": 60 -> 30",
                "spine.threads: 2 -> 0",
            ]
        );
        assert!(before.differences(&before).is_empty());
    }
}
