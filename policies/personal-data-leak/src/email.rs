//! E-mail addresses: RFC 5321, without quoted names and addresses in brackets.

use crate::plain::{Group, LETTER, Plain, is_part};
use crate::scan::{Hit, Kind};

/// Names of files such as `logo@2x.png` end in what is no domain of the top level.
const FILES: [&[u8]; 10] = [b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"css", b"js", b"html", b"json"];

pub(crate) fn find(plain: &Plain, groups: &mut [Group]) -> Vec<Hit> {
    let mut hits = Vec::new();
    let ats = plain.bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'@').map(|(at, _)| at);
    for at in ats {
        let (Some(start), Some(end)) = (name(plain, at), domain(plain, at + 1)) else { continue };
        for group in groups.iter_mut().filter(|group| start <= group.start && group.end <= end) {
            group.is_taken = true;
        }
        hits.push(Hit { kind: Kind::Email, start, end });
    }
    hits
}

/// Where the name in front of `@` begins: with a letter or digit.
fn name(plain: &Plain, at: usize) -> Option<usize> {
    let part = |byte: &u8| is_part(*byte) || b"._%+-".contains(byte);
    let length = plain.bytes[..at].iter().rev().take_while(|byte| part(byte)).count();
    let first = plain.bytes[at - length..at].iter().position(|&byte| is_part(byte))?;
    (plain.before(at) != Some(b'.')).then_some(at - length + first)
}

/// Where the domain ends: at least two labels, the last of letters alone.
fn domain(plain: &Plain, start: usize) -> Option<usize> {
    let (mut at, mut end, mut labels) = (start, None, 0);
    loop {
        let label = plain.bytes[at..].iter().take_while(|&&byte| is_part(byte) || byte == b'-').count();
        let bytes = &plain.bytes[at..at + label];
        if label == 0 || bytes[0] == b'-' || bytes[label - 1] == b'-' {
            break;
        }
        labels += 1;
        let letters = bytes.iter().all(|&byte| byte.is_ascii_alphabetic() || byte == LETTER);
        if labels > 1 && label > 1 && letters && !FILES.contains(&bytes) {
            end = Some(at + label);
        }
        at += label;
        if plain.at(at) != Some(b'.') {
            break;
        }
        at += 1;
    }
    end
}
