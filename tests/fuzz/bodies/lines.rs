//! Lines out of a stream, held against what they are in the whole text. The first byte says
//! how long a line may be, the second how long a chunk is.

use bytes::Bytes;
use ephor::ingest::Lines;

/// Lines with their numbers; nothing in the place of one that is too long.
type Numbered = Vec<(u64, Option<Vec<u8>>)>;

pub fn body(bytes: &[u8]) {
    let [longest, chunk, text @ ..] = bytes else { return };
    let longest = usize::from(*longest);
    let expected = whole(text, longest);
    for size in [usize::from(*chunk).max(1), 1, text.len().max(1)] {
        assert_eq!(split(text, size, longest), expected, "chunks of {size}, lines of {longest}");
    }
}

fn split(text: &[u8], size: usize, longest: usize) -> Numbered {
    let mut lines = Lines::new(longest);
    let mut found = Vec::new();
    for chunk in text.chunks(size) {
        lines.push(Bytes::copy_from_slice(chunk));
        while let Some(line) = lines.next() {
            found.push((lines.number(), line.ok().map(|line| line.to_vec())));
        }
    }
    if let Some(last) = lines.finish() {
        found.push((lines.number(), last.ok().map(|line| line.to_vec())));
    }
    found
}

fn whole(text: &[u8], longest: usize) -> Numbered {
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let is_blank = |line: &[u8]| line.iter().all(|byte| b" \t\r".contains(byte));
    (1..)
        .zip(lines)
        .filter(|(_, line)| line.len() > longest || !is_blank(line))
        .map(|(number, line)| (number, (line.len() <= longest).then(|| line.to_vec())))
        .collect()
}
