//! Chinese numbers against examples that others have published.

use ephor_sdk::check::{Wrong, resident_identity, social_credit_code};
use ephor_sdk::serde_json::{Value, from_str};

fn numbers(kind: &str) -> (Vec<String>, Vec<(String, String)>) {
    let all: Value = from_str(include_str!("data/cn_numbers.json")).expect("the file is JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let list = |name: &str| all[kind][name].as_array().expect("a list").clone();
    let valid: Vec<_> = list("valid").iter().map(text).collect();
    let invalid: Vec<_> = list("invalid").iter().map(|it| (text(&it["number"]), text(&it["error"]))).collect();
    assert!(valid.len() >= 2 && invalid.len() >= 4);
    (valid, invalid)
}

/// What the file calls an error of ours.
fn name(wrong: Wrong) -> &'static str {
    match wrong {
        Wrong::Length => "InvalidLength",
        Wrong::Character(_) => "InvalidFormat",
        Wrong::Region | Wrong::Country | Wrong::Date => "InvalidComponent",
        Wrong::CheckDigits => "InvalidChecksum",
    }
}

#[test]
fn identity_numbers() {
    let (valid, invalid) = numbers("resident_identity");
    for number in valid {
        resident_identity(&number).unwrap_or_else(|wrong| panic!("{number}: {wrong}"));
    }
    for (number, error) in invalid {
        assert_eq!(resident_identity(&number).map_err(name), Err(&*error), "{number}");
    }
}

#[test]
fn credit_codes() {
    let (valid, invalid) = numbers("social_credit_code");
    for number in valid {
        // One is written in groups.
        let number = number.replace(' ', "");
        social_credit_code(&number).unwrap_or_else(|wrong| panic!("{number}: {wrong}"));
        let lower = number.to_lowercase();
        assert_eq!(social_credit_code(&lower), Ok(()), "{lower}");
    }
    for (number, error) in invalid {
        assert_eq!(social_credit_code(&number).map_err(name), Err(&*error), "{number}");
    }
}

/// ISO/IEC 7064 catches every single wrong character and every swap of neighbours.
#[test]
fn one_wrong_character_never_passes() {
    let (identities, _) = numbers("resident_identity");
    let (codes, _) = numbers("social_credit_code");
    let passes = |number: &str| resident_identity(number).is_ok() || social_credit_code(number).is_ok();
    for number in identities.iter().chain(codes.iter().filter(|it| !it.contains(' '))) {
        let number = number.to_uppercase();
        for at in 0..18 {
            for other in b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" {
                let mut changed = number.clone().into_bytes();
                changed[at] = *other;
                let changed = String::from_utf8(changed).expect("ASCII");
                assert_eq!(passes(&changed), changed == number, "{changed}");
            }
            let mut swapped = number.clone().into_bytes();
            swapped.swap(at, (at + 1) % 18);
            let swapped = String::from_utf8(swapped).expect("ASCII");
            assert!(at == 17 || swapped == number || !passes(&swapped), "{swapped}");
        }
    }
}

#[test]
fn dates_are_in_the_calendar() {
    let with_check = |first: &str| "0123456789X".chars().map(|last| format!("{first}{last}")).find(|it| resident_identity(it).is_ok());
    assert!(with_check("11010120000229001").is_some() && with_check("11010119000229001").is_none());
    assert!(with_check("11010118491231001").is_none() && with_check("83010119991231001").is_some());
    assert_eq!(resident_identity("110101200004310010"), Err(Wrong::Date));
    assert_eq!(resident_identity("11010120000431001é"), Err(Wrong::Length));
}
