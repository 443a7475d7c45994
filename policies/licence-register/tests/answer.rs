//! Made-up sales against an answer that was computed without any code of ours.

use ephor_sdk::testing::Policy;
use licence_register::LicenceRegister;

#[path = "../../../tests/independent/answer.rs"]
mod answer;

/// The rows of `register.csv`, in which no cell has a comma or a quote.
fn register() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = include_str!("../register.csv").lines().skip(1);
    rows.map(|row| row.split_once(',').expect("two columns"))
}

#[test]
fn finds_what_is_planted() {
    answer::check::<LicenceRegister>(|settings| {
        let policy = Policy::new(settings).expect("the settings are good");
        policy.with_list("licences", register())
    });
}
