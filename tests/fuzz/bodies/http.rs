//! What comes in a request beside events: queries, cookies, what a client takes. The first
//! line is `query`, `cookie` or `accept`; each further one is a header, or the query.

use ephor::fuzz;

use super::headed;

pub fn body(bytes: &[u8]) {
    let (kind, rest) = headed(bytes);
    let values: Vec<&[u8]> = rest.split(|byte| *byte == b'\n').take(8).collect();
    match kind {
        b"cookie" => {
            for (name, value) in fuzz::cookies(&values) {
                assert!(!name.contains(['=', ';']) && !value.contains(';'), "{name:?} is {value:?}");
                assert!(values.iter().any(|header| contains(header, name.as_bytes()) && contains(header, value.as_bytes())));
            }
        }
        b"accept" => {
            let offers = ["application/json", "text/html", "application/x-ndjson"];
            let wanted = fuzz::preferred(&values, &offers);
            assert!(wanted.is_none_or(|offer| offer < offers.len()));
            // Who asks for nothing takes the first, and who takes everything takes any.
            assert_eq!(fuzz::preferred(&[], &offers), Some(0));
            let with_all: Vec<&[u8]> = values.iter().copied().chain([&b"*/*"[..]]).collect();
            assert!(wanted.is_none_or(|offer| fuzz::preferred(&with_all, &offers[offer..=offer]) == Some(0)));
        }
        _ => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            let Ok(pairs) = fuzz::query(text) else { return };
            // Written in full, it says the same.
            let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
            let written: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
            assert_eq!(fuzz::query(&written.join("&")).as_ref(), Ok(&pairs));
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}
