//! Numbers with check digits.

use ephor_sdk::check::{Network, iban, iban_length, network, payment_card, resident_identity, social_credit_code};

use crate::label::{Found, Label};
use crate::plain::{Group, LETTER, Plain, is_part};
use crate::scan::{Hit, Kind};

/// The longest account number.
const LONGEST: usize = 34;

/// What stands between two groups that may be parts of one number, if they may.
fn joint(plain: &Plain, one: &Group, next: &Group) -> Option<u8> {
    let joint = plain.at(one.end).filter(|byte| b" -.".contains(byte))?;
    (one.end + 1 == next.start).then_some(joint)
}

/// Identity numbers, account numbers and credit codes: groups that are one such number
/// together. Their checks are strict enough to need nothing else.
pub(crate) fn find_checked(plain: &Plain, groups: &mut [Group]) -> Vec<Hit> {
    let mut hits = Vec::new();
    let mut first = 0;
    while first < groups.len() {
        let Some((kind, last)) = checked_at(plain, groups, first) else {
            first += 1;
            continue;
        };
        hits.push(Hit { kind, start: groups[first].start, end: groups[last].end });
        groups[first..=last].iter_mut().for_each(|group| group.is_taken = true);
        first = last + 1;
    }
    hits
}

fn checked_at(plain: &Plain, groups: &[Group], first: usize) -> Option<(Kind, usize)> {
    let mut number = String::with_capacity(LONGEST);
    let mut account = None;
    for last in first..groups.len() {
        let group = &groups[last];
        let joined = last == first || joint(plain, &groups[last - 1], group).is_some();
        let bytes = &plain.bytes[group.start..group.end];
        if !joined || group.is_taken || number.len() + group.len() > LONGEST || bytes.contains(&LETTER) {
            return None;
        }
        number.extend(bytes.iter().map(|&byte| char::from(byte)));
        if account.is_none() && number.len() >= 2 {
            account = Some(iban_length(&number[..2].to_ascii_uppercase()).unwrap_or(0));
        }
        let kind = match number.len() {
            18 if resident_identity(&number).is_ok() => Kind::Identity,
            18 if social_credit_code(&number).is_ok() => Kind::SoleTrader,
            length if Some(length) == account && iban(&number).is_ok() => Kind::Account,
            _ => continue,
        };
        return Some((kind, last));
    }
    None
}

/// How the digits of cards are written in groups.
const GROUPINGS: [&[usize]; 7] = [&[4, 4, 4, 4], &[4, 4, 4, 4, 3], &[4, 6, 5], &[4, 6, 4], &[4, 3, 3, 3], &[6, 13], &[6, 10]];

/// Payment cards. Every tenth number has the right check digit, so that how it is written
/// and what it is called must fit too.
pub(crate) fn find_cards(plain: &Plain, groups: &mut [Group], labels: &Found) -> Vec<Hit> {
    let mut hits = Vec::new();
    let mut first = 0;
    while first < groups.len() {
        let ends = card_ends(plain, groups, first);
        let Some(last) = ends.into_iter().find(|&last| is_card(plain, &groups[first..=last], labels)) else {
            first += 1;
            continue;
        };
        hits.push(Hit { kind: Kind::Card, start: groups[first].start, end: groups[last].end });
        groups[first..=last].iter_mut().for_each(|group| group.is_taken = true);
        first = last + 1;
    }
    hits
}

/// Where a card that begins with this group may end: in a usual grouping; with the whole
/// run of groups that are joined alike; in this group.
fn card_ends(plain: &Plain, groups: &[Group], first: usize) -> Vec<usize> {
    let usable = |group: &Group| group.is_digits && !group.is_taken;
    if !usable(&groups[first]) {
        return Vec::new();
    }
    let joints: Vec<u8> = groups[first..].windows(2).map_while(|two| joint(plain, &two[0], &two[1]).filter(|_| usable(&two[1]))).collect();
    let alike = joints.iter().take_while(|&&it| it == joints[0]).count();
    let run = &groups[first..=first + alike];
    let mut ends = Vec::new();
    for grouping in GROUPINGS {
        if run.len() >= grouping.len() && run.iter().zip(grouping).all(|(group, &size)| group.len() == size) {
            ends.push(first + grouping.len() - 1);
        }
    }
    let goes_on_before = first
        .checked_sub(1)
        .map(|before| &groups[before])
        .is_some_and(|before| usable(before) && joint(plain, before, &groups[first]).is_some_and(|it| joints.first() == Some(&it)));
    if alike > 0 && !goes_on_before {
        ends.push(first + alike);
    }
    ends.push(first);
    ends
}

fn is_card(plain: &Plain, groups: &[Group], labels: &Found) -> bool {
    let (start, end) = (groups[0].start, groups[groups.len() - 1].end);
    let number: String = groups.iter().flat_map(|it| &plain.bytes[it.start..it.end]).map(|&byte| char::from(byte)).collect();
    if payment_card(&number).is_err() {
        return false;
    }
    // Part of something longer: `ORD-4111…`, `0.4111…`.
    let adjoins = |byte: Option<u8>, beyond: Option<u8>| match byte {
        Some(b'-' | b'_') => beyond.is_some_and(is_part),
        Some(b'.') => beyond.is_some_and(|it| it.is_ascii_digit()),
        _ => false,
    };
    if adjoins(plain.before(start), start.checked_sub(1).and_then(|at| plain.before(at))) || adjoins(plain.at(end), plain.at(end + 1)) {
        return false;
    }
    match labels.label(start, end) {
        Some(Label::Card) => true,
        Some(Label::Thing) => false,
        // Other lengths are those of articles and orders more often than of cards.
        _ => network(&number).is_some_and(|network| matches!(number.len(), 14..=16) || network == Network::UnionPay),
    }
}
