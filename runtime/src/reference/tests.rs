use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Table = BTreeMap<String, String>;

fn list(table: &Table) -> List {
    let mut draft = Draft::new("sanctions", "2026-01-02", &["id", "name"]).expect("a draft");
    for (key, value) in table {
        draft.push(key, value).expect("an entry");
    }
    draft.finish().expect("a list")
}

/// Puts the right checksum behind a content, as whoever forges a list would.
fn sealed(content: &[u8]) -> Arc<[u8]> {
    let mut bytes = content.to_vec();
    bytes.extend_from_slice(&Sha256::digest(content));
    bytes.into()
}

fn content(list: &List) -> Vec<u8> {
    list.bytes()[..list.bytes().len() - DIGEST_BYTES].to_vec()
}

fn small() -> List {
    list(&[("a", "1"), ("b", ""), ("ä", "3")].map(|(key, value)| (key.to_string(), value.to_string())).into())
}

#[test]
fn a_list_has_its_published_bytes() {
    let mut expected = Vec::new();
    expected.extend_from_slice(b"EPHRLIST");
    for number in [1u32, 3, 4, 2] {
        expected.extend_from_slice(&number.to_le_bytes());
    }
    expected.extend_from_slice(&2u16.to_le_bytes());
    for text in ["sanctions", "2026-01-02", "id", "name"] {
        expected.extend_from_slice(&(text.len() as u16).to_le_bytes());
        expected.extend_from_slice(text.as_bytes());
    }
    for end in [1u32, 2, 4, 1, 1, 2] {
        expected.extend_from_slice(&end.to_le_bytes());
    }
    expected.extend_from_slice("abä13".as_bytes());
    let list = small();
    assert_eq!(list.bytes()[..], sealed(&expected)[..]);
    assert_eq!(list.digest(), Digest::of(list.bytes()));
    assert_eq!((list.get("a"), list.get("b"), list.get("ä"), list.get("")), (Some("1"), Some(""), Some("3"), None));
}

#[test]
fn a_list_without_values_says_only_what_is_there() {
    let mut draft = Draft::new("words", "1", &["word"]).expect("a draft");
    draft.push("knife", "").expect("an entry");
    assert!(matches!(draft.push("sword", "sharp"), Err(ListError::Entry { number: 2, .. })));
    let list = draft.finish().expect("a list");
    assert_eq!((list.len(), list.get("knife"), list.contains("sword")), (1, Some(""), false));
    assert!(Draft::new("words", "2", &["word"]).expect("a draft").finish().expect("a list").is_empty());
}

#[test]
fn what_has_no_place_in_a_list_is_refused_by_its_entry() {
    let mut draft = Draft::new("words", "1", &["word", "why"]).expect("a draft");
    draft.push("b", "").expect("an entry");
    let long = "x".repeat(VALUE_BYTES_MAX + 1);
    for (key, value, problem) in [
        ("b", "", "twice"),
        ("a", "", "not behind"),
        ("", "", "empty"),
        (&long[..KEY_BYTES_MAX + 1], "", "4097 bytes"),
        ("c", &long, "65537"),
    ] {
        let error = draft.push(key, value).expect_err("no entry");
        assert!(matches!(&error, ListError::Entry { number: 2, .. }) && error.to_string().contains(problem), "{error}");
    }
    assert_eq!(draft.finish().expect("a list").len(), 1);
    for (name, version, columns) in [
        ("Words", "1", &["word"][..]),
        ("", "1", &["word"]),
        ("words-", "1", &["word"]),
        ("words", "", &["word"]),
        ("words", "1 2", &["word"]),
        ("words", "123456789012345678901234567890123", &["word"]),
        ("words", "1", &[]),
        ("words", "1", &[""]),
        ("words", "1", &["word", "word"]),
    ] {
        assert!(matches!(Draft::new(name, version, columns), Err(ListError::Head { .. })), "{name:?} {version:?} {columns:?}");
    }
}

#[test]
fn every_byte_counts() {
    let good = small();
    for at in 0..good.bytes().len() {
        let mut bytes = good.bytes().to_vec();
        bytes[at] ^= 0x10;
        let refused = List::open(bytes.into()).expect_err("no list");
        let expected = match at {
            0..8 => ListError::NotAList,
            8..12 => ListError::Format { found: 1 ^ 0x10 << (8 * (at - 8)), known: 1 },
            _ => ListError::Damaged,
        };
        assert_eq!(refused, expected, "byte {at}");
    }
    for end in 0..good.bytes().len() {
        assert!(List::open(good.bytes()[..end].into()).is_err(), "cut at {end}");
    }
    let mut longer = good.bytes().to_vec();
    longer.push(0);
    assert_eq!(List::open(longer.into()).expect_err("no list"), ListError::Damaged);
}

/// A checksum says nothing of who wrote it: each of these has the right one.
#[test]
fn a_forged_list_is_refused_by_what_is_wrong_in_it() {
    let good = small();
    let ends = good.places.key_ends;
    let forged = |at: usize, with: &[u8]| {
        let mut bytes = content(&good);
        bytes[at..at + with.len()].copy_from_slice(with);
        List::open(sealed(&bytes)).expect_err("no list").to_string()
    };
    for (at, with, problem) in [
        (12, &u32::MAX.to_le_bytes()[..], "entries, at most"),
        (12, &2u32.to_le_bytes(), "bytes, but there are"),
        (16, &u32::MAX.to_le_bytes(), "more than there is"),
        (16, &3u32.to_le_bytes(), "bytes, but there are"),
        (24, &0u16.to_le_bytes(), "0 columns"),
        (24, &1u16.to_le_bytes(), "more than there is"),
        (26, &u16::MAX.to_le_bytes(), "more than there is"),
        (28, b"S", "the name"),
        (28, b"\xff", "not UTF-8"),
        (ends, &9u32.to_le_bytes(), "does not end where the keys are"),
        (ends, &0u32.to_le_bytes(), "its key is empty"),
        (ends, &3u32.to_le_bytes(), "not UTF-8"),
        (ends + 4, &1u32.to_le_bytes(), "its key is empty"),
        (ends + 8, &3u32.to_le_bytes(), "not UTF-8"),
        (good.places.keys, b"b", "twice"),
        (good.places.keys, b"c", "not behind"),
        (good.places.values, b"\xff", "its value is not UTF-8"),
        (ends + 12, &2u32.to_le_bytes(), "does not end where the values are"),
        (ends + 20, &1u32.to_le_bytes(), "belong to no entry"),
    ] {
        let refused = forged(at, with);
        assert!(refused.contains(problem), "{problem:?} expected, but: {refused}");
    }
}

#[test]
fn a_diff_names_what_was_added_removed_and_changed() {
    let table = |pairs: &[(&str, &str)]| list(&pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect());
    let (before, after) = (table(&[("a", "1"), ("b", "2"), ("c", "3")]), table(&[("b", "2"), ("c", "4"), ("d", "5")]));
    let changes: Vec<Change<'_>> = diff(&before, &after).collect();
    assert_eq!(changes, [Change::Removed("a", "1"), Change::Changed("c", "3", "4"), Change::Added("d", "5")]);
    assert_eq!(diff(&after, &after).count(), 0);
}

fn table() -> impl Strategy<Value = Table> {
    prop::collection::btree_map("[ab\u{e4}\u{1f600}]{1,4}|.{1,20}", ".{0,12}", 0..40)
}

proptest! {
    #[test]
    fn a_list_finds_what_was_put_in_and_nothing_else(table in table(), others in prop::collection::vec(".{0,4}", 0..20)) {
        let list = list(&table);
        prop_assert_eq!(list.len(), table.len() as u64);
        prop_assert!(list.iter().eq(table.iter().map(|(key, value)| (key.as_str(), value.as_str()))));
        for key in table.keys().chain(&others) {
            prop_assert_eq!(list.get(key), table.get(key).map(String::as_str));
            prop_assert_eq!(list.contains(key), table.contains_key(key));
        }
        let again = List::open(list.bytes().clone()).expect("the same list");
        prop_assert_eq!(again.digest(), list.digest());
    }

    #[test]
    fn a_diff_leads_from_one_list_to_the_other(before in table(), after in table()) {
        let (one, two) = (list(&before), list(&after));
        let mut made = before;
        for change in diff(&one, &two) {
            match change {
                Change::Removed(key, value) => prop_assert_eq!(made.remove(key).as_deref(), Some(value)),
                Change::Added(key, value) => prop_assert_eq!(made.insert(key.into(), value.into()), None),
                Change::Changed(key, old, new) => prop_assert_eq!(made.insert(key.into(), new.into()).as_deref(), Some(old)),
            }
        }
        prop_assert_eq!(made, after);
    }

    /// Whatever the bytes are, with the right checksum behind them: opening says no or
    /// gives a list in which every look-up works.
    #[test]
    fn no_bytes_break_anything(table in table(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>(), cuts in any::<bool>()) {
        let mut bytes = content(&list(&table));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(list) = List::open(sealed(&bytes)) {
            let keys: Vec<&str> = list.iter().map(|(key, _)| key).collect();
            prop_assert!(keys.is_sorted());
            for (key, value) in list.iter() {
                prop_assert_eq!(list.get(key), Some(value));
            }
        }
    }
}
