//! Verdict events about real invoices against an answer that was computed without any code
//! of ours, and how much is remembered of a subject.

use credit_standing::CreditStanding;

#[path = "../../../tests/independent/answer.rs"]
mod answer;

/// A subject with more findings than are kept has a state as large as this, not more.
const MOST_BYTES: usize = 256 * 20;

#[test]
fn real_verdicts_give_the_independent_answer() {
    answer::check(&mut answer::policy::<CreditStanding>());
}

#[test]
fn what_is_remembered_of_a_subject_has_an_end() {
    let mut policy = answer::policy::<CreditStanding>();
    let judged = answer::judge(&mut policy);
    let states = judged.iter().filter_map(|(event, _)| policy.encoded_state(&[event["subject"].clone()]).map(<[u8]>::len));
    let largest = states.max().unwrap_or_default();
    assert!((1_000..=MOST_BYTES).contains(&largest), "the largest state has {largest} bytes");
}
