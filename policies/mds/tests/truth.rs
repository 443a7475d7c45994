//! Real vehicles against answers that were computed without any code of ours.

use ephor_sdk::testing::Judged;
use mds::Mds;

#[path = "../../../tests/independent/answer.rs"]
mod answer;

#[test]
fn the_events_of_the_library_give_their_answer() {
    let mut policy = answer::policy::<Mds>();
    answer::check(&mut policy);
    assert!(policy.take_woken().iter().all(|woken| woken.judged == Judged::Findings(Vec::new())), "timers find nothing");
}
