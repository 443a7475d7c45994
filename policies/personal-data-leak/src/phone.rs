//! Telephone numbers. They have no check digit: what is one shows in how it is written, or
//! in what it is called.

use crate::label::{Found, Label};
use crate::plain::{Group, Plain, is_part};
use crate::scan::{Hit, Kind};

/// Some digits of a run, and what stands between them and the next.
#[derive(Clone, Copy)]
struct Part {
    start: usize,
    end: usize,
    /// What joins the part to the one before it: from where to where.
    joint: (usize, usize),
    /// Where the extension ends, if the number has one; otherwise `end`.
    tail: usize,
}

impl Part {
    fn len(&self) -> usize {
        self.end - self.start
    }
}

pub(crate) fn find(plain: &Plain, groups: &[Group], labels: &Found) -> Vec<Hit> {
    let mut hits = Vec::new();
    for run in runs(plain, groups) {
        let blank = |part: &Part| plain.bytes[part.joint.0..part.joint.1] == *b" ";
        let mut first = 0;
        while first < run.len() {
            if first > 0 && !blank(&run[first]) {
                first += 1;
                continue;
            }
            let end_here = |last: &usize| *last + 1 == run.len() || blank(&run[*last + 1]);
            let last = (first..run.len()).rev().filter(end_here).find(|&last| is_phone(plain, &run[first..=last], first == 0, labels));
            let Some(last) = last else {
                first += 1;
                continue;
            };
            hits.push(Hit { kind: Kind::Phone, start: beginning(plain, &run[first..=last]), end: run[last].tail });
            first = last + 1;
        }
    }
    hits
}

/// Groups of digits with one or two of ` .-()` in between. `x` and digits behind the last
/// are an extension.
fn runs(plain: &Plain, groups: &[Group]) -> Vec<Vec<Part>> {
    let mut runs: Vec<Vec<Part>> = Vec::new();
    let mut is_open = false;
    for group in groups {
        let bytes = &plain.bytes[group.start..group.end];
        let digits = bytes.iter().take_while(|it| it.is_ascii_digit()).count();
        let extension = bytes.get(digits) == Some(&b'x')
            && (2..=7).contains(&bytes[digits..].len())
            && bytes[digits + 1..].iter().all(u8::is_ascii_digit);
        if group.is_taken || digits == 0 || digits < bytes.len() && !extension {
            is_open = false;
            continue;
        }
        let end = group.start + digits;
        let last = runs.last_mut().filter(|_| is_open);
        let joined = last
            .as_ref()
            .and_then(|run| run.last())
            .map(|before| (before.end, group.start))
            .filter(|&(from, to)| to - from <= 2 && plain.bytes[from..to].iter().all(|byte| b" .-()".contains(byte)));
        let part = Part { start: group.start, end, joint: joined.unwrap_or((group.start, group.start)), tail: group.end };
        match last {
            Some(run) if joined.is_some() => run.push(part),
            _ => runs.push(vec![part]),
        }
        is_open = !extension;
    }
    runs
}

/// Where a number begins: with its `+`, and with a bracket if it is closed within the number.
fn beginning(plain: &Plain, parts: &[Part]) -> usize {
    let start = parts[0].start;
    let closed = parts[1..].iter().any(|part| plain.bytes[part.joint.0..part.joint.1].contains(&b')'));
    let start = if closed && plain.before(start) == Some(b'(') { start - 1 } else { start };
    if plain.before(start) == Some(b'+') { start - 1 } else { start }
}

/// `at_beginning`: whether nothing of the run is in front of these parts.
fn is_phone(plain: &Plain, parts: &[Part], at_beginning: bool, labels: &Found) -> bool {
    let (start, end) = (beginning(plain, parts), parts[parts.len() - 1].tail);
    let digits: Vec<u8> = parts.iter().flat_map(|part| &plain.bytes[part.start..part.end]).copied().collect();
    let length = digits.len();
    if !(7..=17).contains(&length) || adjoins(plain, start, end) || has_date(plain, parts) {
        return false;
    }
    if plain.at(start) == Some(b'+') {
        return digits[0] != b'0' && (8..=15).contains(&length);
    }
    let sizes: Vec<usize> = parts.iter().map(Part::len).collect();
    match labels.label(start, end) {
        Some(Label::Thing) => false,
        Some(Label::Phone) => length <= 15,
        _ => {
            is_abroad(&digits, &sizes)
                || is_chinese(&digits, &sizes)
                || is_american(plain, &digits, parts)
                || at_beginning && has_trunk_zero(&digits, &sizes)
        }
    }
}

/// Part of something longer, or an amount.
fn adjoins(plain: &Plain, start: usize, end: usize) -> bool {
    let digit = |byte: Option<u8>| byte.is_some_and(|it| it.is_ascii_digit());
    let beyond = start.checked_sub(1).and_then(|at| plain.before(at));
    let in_front = match plain.before(start) {
        Some(b'-' | b'_' | b'.' | b'/') => beyond.is_some_and(is_part),
        Some(b',' | b':') => digit(beyond),
        Some(byte) => is_part(byte) || b"$#".contains(&byte),
        None => false,
    };
    let behind = match plain.at(end) {
        Some(b'-' | b'_' | b'.' | b'/' | b',' | b':') => digit(plain.at(end + 1)),
        Some(byte) => byte == b'%',
        None => false,
    };
    in_front || behind
}

/// `2024-01-15`, `15.01.2024`, `192.168.0.1`, also with something behind.
fn has_date(plain: &Plain, parts: &[Part]) -> bool {
    let year = |part: &Part| part.len() == 4 && matches!(plain.bytes[part.start..part.end], [b'1', b'9', ..] | [b'2', b'0', ..]);
    let [one, two, three, rest @ ..] = parts else { return false };
    let joint = |part: &Part| plain.bytes[part.joint.0..part.joint.1] == *b"." || plain.bytes[part.joint.0..part.joint.1] == *b"-";
    let short = |part: &Part| part.len() <= 2;
    let date = year(one) && short(two) && short(three) || short(one) && short(two) && year(three);
    let address =
        rest.len() == 1 && parts.iter().all(|part| part.len() <= 3) && parts[1..].iter().all(|part| plain.at(part.joint.0) == Some(b'.'));
    joint(two) && joint(three) && (date || address)
}

/// With 00 and a country.
fn is_abroad(digits: &[u8], sizes: &[usize]) -> bool {
    sizes.len() > 1 && sizes[0] > 1 && digits.starts_with(b"00") && digits[2] != b'0' && (10..=17).contains(&digits.len())
}

/// A mobile number, perhaps with 86 in front, or an area code and a number of a fixed line.
fn is_chinese(digits: &[u8], sizes: &[usize]) -> bool {
    let code = [&b"0086"[..], b"86"].into_iter().find(|code| digits.starts_with(code)).map_or(0, <[u8]>::len);
    let (national, own) = (&digits[code..], sizes[0] == code);
    let rest = if own { &sizes[1..] } else { sizes };
    // A code that is written together with the number is part of its first group.
    let first = rest.first().map_or(0, |&size| if own { size } else { size.saturating_sub(code) });
    let usual = matches!((first, rest.get(1..).unwrap_or_default()), (11, []) | (3, [4, 4] | [8]) | (7, [4]));
    let mobile = national.len() == 11 && national[0] == b'1' && national[1] >= b'3' && usual;
    mobile || digits[0] == b'0' && digits[1] != b'0' && matches!(sizes, [3, 7 | 8] | [4, 7 | 8] | [3, 4, 4])
}

/// Three digits of an area, three and four, joined by more than blanks; perhaps with 1 in front.
fn is_american(plain: &Plain, digits: &[u8], parts: &[Part]) -> bool {
    let parts = if digits[0] == b'1' && parts[0].len() == 1 { &parts[1..] } else { parts };
    let [area, middle, last] = parts else { return false };
    let joint = |part: &Part| plain.bytes[part.joint.0..part.joint.1] != *b" ";
    (area.len(), middle.len(), last.len()) == (3, 3, 4) && plain.bytes[area.start] >= b'2' && joint(middle) && joint(last)
}

/// As it is dialled within many countries: with a zero in front, in three groups or more.
fn has_trunk_zero(digits: &[u8], sizes: &[usize]) -> bool {
    digits[0] == b'0' && digits[1] != b'0' && (9..=12).contains(&digits.len()) && sizes.len() > 2 && sizes.iter().all(|&size| size > 1)
}
