//! Events against an answer that was computed without any code of ours.

use ephor_sdk::testing::Policy;
use purpose_limit::PurposeLimit;

#[path = "../../../tests/independent/answer.rs"]
mod answer;

#[test]
fn finds_what_the_answer_has() {
    answer::check::<PurposeLimit>(|settings| Policy::new(settings).expect("the settings are good"));
}
