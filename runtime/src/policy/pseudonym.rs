//! Pseudonyms: texts that stand for values, equal where the values are, and only there.

use std::fmt;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::column::Cell;
use crate::digest::hex;

type Keyed = Hmac<Sha256>;

/// What the pseudonyms of all publishers and purposes are derived from. Whoever has it
/// can find out the values behind pseudonyms by trying.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// A secret of its own, for a runtime that keeps nothing.
    ///
    /// # Errors
    ///
    /// If the system gives no random numbers.
    pub fn random() -> Result<Secret, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Secret(secret))
    }

    /// The one that everybody knows: for development and for vectors, where the same
    /// events have to give the same pseudonyms everywhere.
    pub fn development() -> Secret {
        Secret([0; 32])
    }

    pub(crate) fn from_bytes(secret: [u8; 32]) -> Secret {
        Secret(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The pseudonyms of one publisher, purpose and generation.
#[derive(Clone)]
pub(crate) struct Pseudonyms {
    keyed: Keyed,
    generation: u32,
    mark: String,
}

impl Pseudonyms {
    /// Derives their key. Each part has its length before it, so that no two lists of
    /// parts give the same.
    pub fn new(secret: &Secret, publisher: &str, purpose: &str, generation: u32) -> Self {
        let mut mac = keyed(&secret.0).chain_update(b"ephor pseudonym 1");
        for part in [publisher, purpose] {
            mac = mac.chain_update((part.len() as u64).to_le_bytes()).chain_update(part);
        }
        let keyed = keyed(&mac.chain_update(generation.to_le_bytes()).finalize().into_bytes());
        // No value is encoded like this, so it is nobody's pseudonym: what begins with
        // `m` has nine bytes.
        let mark = hex(&keyed.clone().chain_update(b"mark").finalize().into_bytes()[..16]);
        Pseudonyms { keyed, generation, mark: format!("{generation} {mark}") }
    }

    /// The pseudonym of a value: `p`, the generation, `-` and 32 hexadecimal digits, the
    /// first half of an HMAC-SHA-256 over the value with its type.
    pub fn of(&self, value: &Cell<'_>) -> String {
        let mut bytes = Vec::with_capacity(64);
        value.encode(&mut bytes);
        let mac = self.keyed.clone().chain_update(&bytes).finalize().into_bytes();
        format!("p{}-{}", self.generation, hex(&mac[..16]))
    }

    /// Tells these pseudonyms from others, and nothing about their key.
    pub fn mark(&self) -> &str {
        &self.mark
    }
}

impl PartialEq for Pseudonyms {
    fn eq(&self, other: &Self) -> bool {
        self.mark == other.mark
    }
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonyms({})", self.mark)
    }
}

fn keyed(key: &[u8]) -> Keyed {
    Keyed::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length (RFC 2104)"))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    fn pseudonyms(publisher: &str, purpose: &str) -> Pseudonyms {
        Pseudonyms::new(&Secret::from_bytes([7; 32]), publisher, purpose, 1)
    }

    fn value() -> impl Strategy<Value = Cell<'static>> {
        prop_oneof![
            any::<String>().prop_map(|text| Cell::Text(Cow::Owned(text))),
            any::<i64>().prop_map(Cell::Integer),
            any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(Cell::Float),
            any::<bool>().prop_map(Cell::Boolean),
        ]
    }

    /// Known answers, computed with Python's hmac.
    #[test]
    fn pseudonyms_follow_from_the_secret() {
        let some = pseudonyms("transport-office", "count rides");
        assert_eq!(some.of(&Cell::Text("13800138000".into())), "p1-8a01cecab7b9ce9c1f332f58e6dd97a2");
        assert_eq!(some.of(&Cell::Integer(13_800_138_000)), "p1-d7f6ea161ae9e24664fb7c1c0e08a1c0");
        let development = Pseudonyms::new(&Secret::development(), "", "count rides", 1);
        assert_eq!(development.of(&Cell::Text("13800138000".into())), "p1-750d3ab27af147d7334a7ba697fa82a3");
    }

    #[test]
    fn a_value_is_another_one_with_another_type() {
        let some = pseudonyms("a", "b");
        let all = [Cell::Integer(1), Cell::Text("1".into()), Cell::Float(1.0), Cell::Boolean(true), Cell::Text("true".into())];
        let given: std::collections::BTreeSet<String> = all.iter().map(|value| some.of(value)).collect();
        assert_eq!(given.len(), all.len());
        assert_eq!(some.of(&Cell::Float(0.0)), some.of(&Cell::Float(-0.0)));
    }

    #[test]
    fn pv_02_another_generation_gives_other_pseudonyms() {
        let secret = Secret::from_bytes([7; 32]);
        let [one, two] = [1, 2].map(|generation| Pseudonyms::new(&secret, "a", "b", generation));
        assert!(one != two);
        let [one, two] = [one, two].map(|pseudonyms| pseudonyms.of(&Cell::Integer(1)));
        assert!(one.starts_with("p1-") && two.starts_with("p2-") && one[3..] != two[3..]);
    }

    proptest! {
        #[test]
        fn equal_within_a_publisher_and_purpose_and_nowhere_else(
            value in value(), other in value(), publisher in "[a-z]{1,8}", purpose in ".{1,12}", more in "[a-z]{1,3}",
        ) {
            let here = pseudonyms(&publisher, &purpose);
            prop_assert_eq!(here.of(&value), pseudonyms(&publisher, &purpose).of(&value));
            let mut encoded = [Vec::new(), Vec::new()];
            value.encode(&mut encoded[0]);
            other.encode(&mut encoded[1]);
            prop_assert_eq!(here.of(&value) == here.of(&other), encoded[0] == encoded[1]);
            for elsewhere in [
                pseudonyms(&format!("{publisher}{more}"), &purpose),
                pseudonyms(&publisher, &format!("{purpose}{more}")),
                // The same letters, cut elsewhere.
                pseudonyms(&format!("{publisher}{purpose}"), ""),
            ] {
                prop_assert!(elsewhere != here);
                prop_assert_ne!(elsewhere.of(&value), here.of(&value));
            }
        }
    }
}
