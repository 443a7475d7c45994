//! Signatures that verifiers disagree about: Project Wycheproof's, and those of CCTV. Held
//! against what notes, checkpoints and cosignatures are verified with.

use std::collections::BTreeMap;

use ephor::ledger::note::{Algorithm, VerifierKey};
use serde_json::Value;

use super::{folder, json};

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is a text"));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits")).collect()
}

/// Whether a key is taken, and then the signature.
fn verifies(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let public = public.try_into().expect("a key has 32 bytes");
    VerifierKey::new("example.com/log", Algorithm::Ed25519, public).is_ok_and(|key| key.verifies(message, signature))
}

#[test]
#[ignore = "needs a suite from outside: make suites DIR=…"]
#[expect(clippy::print_stdout, reason = "the counts are what is asked for")]
fn sc_14_what_wycheproof_says_of_a_signature_is_what_is_said_here() {
    let file = folder("wycheproof", "C2SP/wycheproof").join("testvectors_v1/ed25519_test.json");
    let suite = json(&file);
    let (mut taken, mut refused) = (0, 0);
    for group in suite["testGroups"].as_array().expect("groups") {
        let public = bytes(&group["publicKey"]["pk"]);
        for case in group["tests"].as_array().expect("tests") {
            let holds = verifies(&public, &bytes(&case["msg"]), &bytes(&case["sig"]));
            assert_eq!(holds, case["result"] == "valid", "case {}: {} {}", case["tcId"], case["flags"], case["comment"]);
            if holds { taken += 1 } else { refused += 1 }
        }
    }
    assert_eq!(suite["numberOfTests"], taken + refused, "all were tried");
    println!("wycheproof: Ed25519, {taken} valid signatures taken of {taken}, {refused} invalid ones refused of {refused}");
}

/// What is taken of the cases of CCTV: points of prime order, or with a component of small
/// order where that cancels out. Whatever has another flag is refused: points of small
/// order, encodings that are not the one, and what holds only times the cofactor.
const TAKEN: [(&[&str], u64); 3] = [(&[], 1), (&["low_order_component_A"], 7), (&["low_order_component_A", "low_order_component_R"], 35)];

#[test]
#[ignore = "needs a suite from outside: make suites DIR=…"]
#[expect(clippy::print_stdout, reason = "the counts are what is asked for")]
fn sc_14_edge_cases_of_cctv_are_taken_by_a_fixed_table() {
    let file = folder("CCTV", "C2SP/CCTV").join("ed25519/ed25519vectors.json");
    let suite = json(&file);
    let cases = suite.as_array().expect("a list");
    let mut taken: BTreeMap<Vec<&str>, u64> = BTreeMap::new();
    for case in cases {
        let mut flags: Vec<&str> = case["flags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        flags.sort_unstable();
        let message = case["msg"].as_str().expect("a message");
        let holds = verifies(&bytes(&case["key"]), message.as_bytes(), &bytes(&case["sig"]));
        assert_eq!(holds, TAKEN.iter().any(|(taken, _)| *taken == flags), "case {}: {flags:?}", case["number"]);
        if holds {
            *taken.entry(flags).or_default() += 1;
        }
    }
    let expected: BTreeMap<Vec<&str>, u64> = TAKEN.iter().map(|(flags, count)| (flags.to_vec(), *count)).collect();
    assert_eq!(taken, expected, "so many of each kind");
    println!("CCTV: Ed25519, {} of {} edge cases taken, as the table says", taken.values().sum::<u64>(), cases.len());
}
