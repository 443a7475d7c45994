//! States in memory and in the ledger, against a plain map.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::column::Kind;

#[test]
fn keys_are_equal_if_and_only_if_their_values_are() {
    let text = |text: &'static str| Cell::Text(text.into());
    let of = |cells: &[Cell<'_>]| key(cells.iter());
    assert_eq!(of(&[text("a"), text("b")]), of(&[text("a"), text("b")]));
    assert_ne!(of(&[text("a"), text("b")]), of(&[text("ab"), text("")]));
    assert_ne!(of(&[Cell::Integer(1)]), of(&[Cell::Time(1)]));
    assert_ne!(of(&[text("1")]), of(&[Cell::Json("1")]));
    assert_eq!(of(&[Cell::Float(0.0)]), of(&[Cell::Float(-0.0)]));
}

#[test]
fn states_cross_a_swap_by_a_declared_rule() {
    let mut states = States::default();
    let one = key([Cell::Integer(1)].iter());
    let form = |version, pointer: &str| Form { version, key: vec![(pointer.to_string(), Kind::Integer)], shown: Vec::new() };
    let first = form(1, "/data/a");
    assert_eq!(states.hand_over("p", Some(&first), &[], false), Ok((Handover::None, true)));
    states.begin("p", first.clone());
    assert_eq!(states.hand_over("p", Some(&form(2, "/data/a")), &[], false), Ok((Handover::None, true)), "there are no states yet");
    states.apply("p", one.clone(), Some(vec![7]));
    assert_eq!((states.get("p", &one), states.bytes("p")), (Some([7].as_slice()), one.len() + 1 + ENTRY_BYTES));
    for (form, migrates_from, resets, expected) in [
        (Some(&first), vec![], false, Ok((Handover::Kept, false))),
        (Some(&form(2, "/data/a")), vec![3, 1], false, Ok((Handover::Migrated, true))),
        (Some(&form(2, "/data/a")), vec![3], true, Ok((Handover::Reset, true))),
        (Some(&form(1, "/data/b")), vec![1], true, Ok((Handover::Reset, true))),
        (Some(&Form { shown: vec!["pseudonym".into()], ..first.clone() }), vec![1], true, Ok((Handover::Reset, true))),
        (None, vec![], false, Ok((Handover::Reset, true))),
    ] {
        assert_eq!(states.hand_over("p", form, &migrates_from, resets), expected);
    }
    for lossy in [form(2, "/data/a"), form(1, "/data/b")] {
        assert!(states.hand_over("p", Some(&lossy), &[], false).is_err_and(|why| why.contains("states of 1 keys")));
    }
    assert_eq!(states.all("p", 100, &Nowhere), Ok((1, vec![(one.clone(), vec![7])])));
    assert!(states.all("p", one.len(), &Nowhere).is_err_and(|why| why.contains("at most")));
    for state in [Some(vec![7, 8]), None] {
        states.apply("p", one.clone(), state);
    }
    assert_eq!((states.bytes("p"), states.keys()), (0, 0));
    assert!(states.forget("p") && !states.forget("p"));
}

/// For states that are all in memory.
struct Nowhere;

impl Archive for Nowhere {
    fn read(&self, wanted: &[Wanted]) -> Result<Vec<(Key, Vec<u8>)>, String> {
        if wanted.is_empty() { Ok(Vec::new()) } else { Err("nothing is kept".into()) }
    }

    fn damaged(&self, place: u64) -> String {
        format!("damaged at {place}")
    }
}

/// A ledger of states: what was written at each place.
#[derive(Default)]
struct Written {
    places: BTreeMap<u64, (Key, Vec<u8>)>,
    next: u64,
}

impl Written {
    /// Writes a change; gives its place.
    fn write(&mut self, key: &Key, state: Option<&Vec<u8>>) -> u64 {
        self.next += 10;
        if let Some(state) = state {
            self.places.insert(self.next, (key.clone(), state.clone()));
        }
        self.next
    }
}

impl Archive for Written {
    fn read(&self, wanted: &[Wanted]) -> Result<Vec<(Key, Vec<u8>)>, String> {
        assert!(wanted.is_sorted_by(|a, b| a.place < b.place), "each once, in the order of the places");
        let found = |wanted: &Wanted| {
            let (key, state) = self.places.get(&wanted.place).ok_or("nothing was written there")?;
            assert_eq!(wanted.bytes, key.len() + state.len());
            Ok((key.clone(), state.clone()))
        };
        wanted.iter().map(found).collect()
    }

    fn damaged(&self, place: u64) -> String {
        format!("damaged at {place}")
    }
}

/// What a batch does to a key of a policy.
type Change = (u8, u8, Option<Vec<u8>>);

fn name(policy: u8) -> &'static str {
    ["one", "another"][usize::from(policy)]
}

fn numbered(key: u8) -> Key {
    key_of(&[Cell::Integer(key.into())])
}

fn key_of(cells: &[Cell<'_>]) -> Key {
    key(cells.iter())
}

fn begun(mut states: States) -> States {
    for policy in 0..2 {
        states.begin(name(policy), Form::default());
    }
    states
}

/// Everything that is known of all states.
fn contents(states: &States, archive: &dyn Archive) -> Vec<BTreeMap<Key, Vec<u8>>> {
    let all = |policy| states.all(name(policy), usize::MAX, archive).expect("readable").1.into_iter().collect();
    (0..2).map(all).collect()
}

proptest! {
    /// Batches of changes, of which some are still on their way to the ledger, within any
    /// bound: what is said is what a plain map says, and nothing that may go stays.
    #[test]
    fn states_are_a_map_wherever_they_are(
        batches in prop::collection::vec(
            (prop::collection::vec((0..2u8, 0..40u8, prop::option::weighted(0.8, prop::collection::vec(any::<u8>(), 0..30))), 0..12), 0..3usize, 0..12u8),
            1..60,
        ),
        bound in prop_oneof![Just(0usize), 0..2_000usize],
    ) {
        let (mut states, mut written) = (begun(States::within(bound)), Written::default());
        let mut map: BTreeMap<(u8, Key), Vec<u8>> = BTreeMap::new();
        let mut underway: VecDeque<Vec<Change>> = VecDeque::new();
        for (changes, settled, event) in batches {
            for batch in underway.drain(..settled.min(underway.len())).collect::<Vec<_>>() {
                let places: Vec<u64> = batch.iter().map(|(_, key, state)| written.write(&numbered(*key), state.as_ref())).collect();
                states.settle(&places);
            }
            states.shrink();
            if underway.is_empty() {
                prop_assert!(states.hot.bytes() <= bound);
            }
            let mut wanted = Vec::new();
            for (policy, key, _) in changes.iter().chain(&changes) {
                states.want(name(*policy), &numbered(*key), &mut wanted);
            }
            states.load(wanted, &written).expect("readable");
            for (policy, key, state) in &changes {
                let key = numbered(*key);
                let before = map.get(&(*policy, key.clone()));
                prop_assert_eq!(states.get(name(*policy), &key), before.map(Vec::as_slice));
                prop_assert_eq!(states.has(name(*policy), &key), before.is_some());
                states.apply(name(*policy), key.clone(), state.clone());
                match state {
                    Some(state) => map.insert((*policy, key), state.clone()),
                    None => map.remove(&(*policy, key)),
                };
            }
            states.hand_in();
            underway.push_back(changes);
            if event == 0 {
                states.begin("one", Form::default());
                map.retain(|(policy, _), _| *policy != 0);
            }
            for policy in 0..2 {
                let of: Vec<usize> = map.iter().filter(|((of, _), _)| *of == policy).map(|((_, key), state)| ENTRY_BYTES + key.len() + state.len()).collect();
                prop_assert_eq!(states.bytes(name(policy)), of.iter().sum::<usize>());
            }
            prop_assert_eq!(states.keys(), map.len());
        }
        let expected: Vec<BTreeMap<Key, Vec<u8>>> = (0..2)
            .map(|policy| map.iter().filter(|((of, _), _)| *of == policy).map(|((_, key), state)| (key.clone(), state.clone())).collect())
            .collect();
        prop_assert_eq!(contents(&states, &written), expected);
    }

    /// A start takes up the same states, and is within the bound after each record.
    #[test]
    fn a_start_is_within_the_bound(changes in prop::collection::vec((0..2u8, 0..40u8, prop::option::weighted(0.8, prop::collection::vec(any::<u8>(), 0..30))), 0..300), bound in 0..1_000usize) {
        let (mut states, mut plain, mut written) = (begun(States::within(bound)), begun(States::default()), Written::default());
        for (policy, key, state) in changes {
            let key = numbered(key);
            states.restore(name(policy), &key, state.as_deref(), written.write(&key, state.as_ref()));
            states.shrink();
            prop_assert!(states.hot.bytes() <= bound);
            plain.apply(name(policy), key, state);
        }
        prop_assert_eq!(contents(&states, &written), contents(&plain, &Nowhere));
        prop_assert_eq!((states.keys(), states.bytes("one")), (plain.keys(), plain.bytes("one")));
    }
}

/// States of two keys that are in the ledger only.
fn cold() -> (States, Written) {
    let (mut states, mut written) = (begun(States::within(0)), Written::default());
    for number in 0..2 {
        let (key, state) = (numbered(number), vec![number; 3]);
        states.restore("one", &key, Some(&state), written.write(&key, Some(&state)));
    }
    states.shrink();
    assert!(!states.is_hot());
    (states, written)
}

#[test]
fn what_is_not_what_was_written_is_refused() {
    let load = |states: &mut States, written: &Written| {
        let mut wanted = Vec::new();
        (0..2).for_each(|number| states.want("one", &numbered(number), &mut wanted));
        states.load(wanted, written)
    };
    let damages: [fn(&mut Written); 4] = [
        |written| written.places.get_mut(&20).expect("there").1[0] ^= 1,
        |written| written.places.get_mut(&20).expect("there").0[3] ^= 1,
        |written| {
            let (key, state) = written.places[&20].clone();
            // The same bytes, with the border elsewhere.
            let all = [&key[..], &state].concat();
            written.places.insert(20, (all[..key.len() + 1].into(), all[key.len() + 1..].to_vec()));
        },
        |written| {
            let other = written.places[&10].clone();
            written.places.insert(20, other);
        },
    ];
    for damage in damages {
        let (mut states, mut written) = cold();
        damage(&mut written);
        assert_eq!(load(&mut states, &written), Err("damaged at 20".to_string()));
        assert!(states.all("one", 1_000, &written).is_err_and(|why| why == "damaged at 20"));
        assert!(states.all("another", 1_000, &written).is_ok());
    }
    let (mut states, written) = cold();
    assert_eq!(load(&mut states, &written), Ok(2));
    assert_eq!((states.is_hot(), load(&mut states, &written)), (true, Ok(0)));
}

#[test]
#[should_panic(expected = "was not loaded")]
fn a_state_that_was_not_loaded_is_not_taken_for_none() {
    let (states, _) = cold();
    let _ = states.get("one", &numbered(1));
}
