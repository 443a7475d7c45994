//! Events against an answer that was computed without any code of ours.

use ephor_sdk::testing::Policy;
use exclusive_dealing::ExclusiveDealing;

#[path = "../../../tests/independent/answer.rs"]
mod answer;

#[test]
fn finds_what_the_answer_has() {
    answer::check::<ExclusiveDealing>(|settings| Policy::new(settings).expect("the settings are good"));
}
