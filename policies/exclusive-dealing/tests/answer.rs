//! Events against an answer that was computed without any code of ours.

use exclusive_dealing::ExclusiveDealing;

#[path = "../../../tests/independent/answer.rs"]
mod answer;

#[test]
fn finds_what_the_answer_has() {
    answer::check(&mut answer::policy::<ExclusiveDealing>());
}
