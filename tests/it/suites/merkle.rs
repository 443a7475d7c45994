//! transparency-dev/merkle: proofs of inclusion and of consistency, good ones and bad ones.
//! Its cases of subtrees are about proofs that are not made here; they are counted.

use std::path::Path;

use ephor::ledger::tree::{Hash, leaf_hash, verify_consistency, verify_inclusion};
use serde_json::Value;

use super::{base64, folder, json_files};

/// The bytes of a member in base64; `null` is none.
fn bytes(value: &Value) -> Vec<u8> {
    base64(value.as_str().unwrap_or_default())
}

/// A hash; what has another length is none, and no proof can be made of it.
fn hash(value: &Value) -> Option<Hash> {
    Hash::from_slice(&bytes(value))
}

/// A root. Some cases have words in the place of roots, only to be equal or not.
fn root(value: &Value) -> Hash {
    hash(value).unwrap_or_else(|| leaf_hash(&bytes(value)))
}

fn proof(case: &Value) -> Option<Vec<Hash>> {
    case["proof"].as_array().map_or(Some(Vec::new()), |list| list.iter().map(hash).collect())
}

fn number(case: &Value, name: &str) -> u64 {
    case[name].as_u64().unwrap_or_else(|| panic!("{name} is an unsigned number in {case}"))
}

fn is_included(case: &Value) -> bool {
    let (Some(leaf), Some(proof)) = (hash(&case["leafHash"]), proof(case)) else { return false };
    verify_inclusion(&leaf, number(case, "leafIdx"), number(case, "treeSize"), &proof, &root(&case["root"])).is_ok()
}

fn is_consistent(case: &Value) -> bool {
    let Some(proof) = proof(case) else { return false };
    let (old, new) = (number(case, "size1"), number(case, "size2"));
    verify_consistency(old, new, &root(&case["root1"]), &root(&case["root2"]), &proof).is_ok()
}

/// How many cases there are, and how many of them hold.
fn run(cases: &Path, holds: fn(&Value) -> bool) -> (usize, usize) {
    let all = json_files(cases);
    let held = all.iter().filter(|(file, case)| {
        let refused = case["wantErr"].as_bool().expect("wantErr is a truth value");
        assert_eq!(holds(case), !refused, "{}: {}", file.display(), case["desc"]);
        !refused
    });
    let held = held.count();
    (all.len(), held)
}

#[test]
#[ignore = "needs a suite from outside: make suites DIR=…"]
#[expect(clippy::print_stdout, reason = "the counts are what is asked for")]
fn tl_02_proofs_of_transparency_dev_hold_or_do_not_as_they_say() {
    let cases = folder("merkle", "transparency-dev/merkle").join("testdata");
    let (inclusion, included) = run(&cases.join("inclusion"), is_included);
    let (consistency, consistent) = run(&cases.join("consistency"), is_consistent);
    assert!(inclusion >= 98 && consistency >= 98 && included > 0 && consistent > 0, "{inclusion} and {consistency} cases are there");
    let subtrees = ["subtreeinclusion", "subtreeconsistency"].map(|name| json_files(&cases.join(name)).len());
    println!(
        "merkle: {inclusion} inclusion cases as they say ({included} hold), {consistency} consistency cases ({consistent} hold); {} cases of \
         subtrees are not about proofs that are made here",
        subtrees.iter().sum::<usize>()
    );
}
