//! Events against an answer that was computed without any code of ours.

use purpose_limit::PurposeLimit;

#[path = "../../../tests/independent/answer.rs"]
mod answer;

#[test]
fn finds_what_the_answer_has() {
    answer::check(&mut answer::policy::<PurposeLimit>());
}
