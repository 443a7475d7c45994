//! Moves over JSON text (RFC 8259) byte by byte, faster than a parser that has to make
//! values of what it reads.
//!
//! Nothing here decides what is accepted: `ingest/` gives what it does not take as plain to
//! a parser, and `projection/` walks what was checked.

/// A byte of one in each byte.
const ONES: u64 = u64::from_le_bytes([1; 8]);
/// The highest bit of each byte.
const HIGHS: u64 = ONES << 7;

/// Where the run of ordinary characters ends that begins at `at`: the place of the next
/// quote, backslash or control character below 0x20, or the end of the bytes.
#[inline]
pub(crate) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(eight) = bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok()) {
        let eight = u64::from_le_bytes(eight);
        // The lowest byte that is marked is one that is meant; those above it need not be.
        let quote = eight ^ (ONES * b'"' as u64);
        let backslash = eight ^ (ONES * b'\\' as u64);
        let marked =
            (quote.wrapping_sub(ONES) & !quote | backslash.wrapping_sub(ONES) & !backslash | eight.wrapping_sub(ONES * 0x20) & !eight)
                & HIGHS;
        if marked != 0 {
            return at + (marked.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(byte) = bytes.get(at)
        && *byte != b'"'
        && *byte != b'\\'
        && *byte >= 0x20
    {
        at += 1;
    }
    at
}

/// Behind the white space that begins at `at`.
#[inline]
pub(crate) fn white_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\r' | b'\n') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Behind the string whose first quote stands at `at`, in text that was checked.
#[inline]
pub(crate) fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = plain_end(bytes, at + 1);
    while bytes.get(end).is_some_and(|byte| *byte != b'"') {
        // A backslash and what it escapes.
        end = plain_end(bytes, end + 2);
    }
    end + 1
}

/// Behind the value that begins at `at`, in text that was checked.
#[inline]
pub(crate) fn value_end(bytes: &[u8], mut at: usize) -> usize {
    match bytes.get(at) {
        Some(b'"') => string_end(bytes, at),
        Some(b'{' | b'[') => {
            let mut open = 0usize;
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'"' => {
                        at = string_end(bytes, at);
                        continue;
                    }
                    b'{' | b'[' => open += 1,
                    b'}' | b']' => {
                        open -= 1;
                        if open == 0 {
                            return at + 1;
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
            at
        }
        _ => {
            while let Some(byte) = bytes.get(at)
                && !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n')
            {
                at += 1;
            }
            at
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    proptest::proptest! {
        #[test]
        fn a_run_ends_at_the_first_byte_that_is_not_ordinary(bytes in proptest::collection::vec(proptest::sample::select(b"aZ~\x7f\x80\xff\"\\\x1f\x00 !#[]\xdc\xa2".to_vec()), 0..40), at in 0usize..12) {
            let expected = bytes.iter().skip(at).position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).map_or(bytes.len().max(at), |place| at + place);
            proptest::prop_assert_eq!(plain_end(&bytes, at), expected);
        }

        #[test]
        fn a_value_ends_where_a_parser_ends(value in crate::testing::json(), after in "[ ,}\\]]?[\"a]?") {
            let text = value.to_string();
            let followed = format!("{text}{after}");
            // A number goes on where digits follow it; a value is followed by one of these.
            if after.is_empty() || !after.starts_with(['"', 'a']) {
                proptest::prop_assert_eq!(value_end(followed.as_bytes(), 0), text.len(), "{}", followed);
            }
            proptest::prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
        }
    }
}
