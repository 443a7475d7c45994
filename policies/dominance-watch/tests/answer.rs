//! Events against an answer that was computed without any code of ours.

use dominance_watch::DominanceWatch;
use ephor_sdk::testing::Policy;

#[path = "../../../tests/independent/answer.rs"]
mod answer;

#[test]
fn finds_what_the_answer_has() {
    answer::check::<DominanceWatch>(|settings| Policy::new(settings).expect("the settings are good"));
}
