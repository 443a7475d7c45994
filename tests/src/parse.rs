//! What the whole path is held against: lines that are parsed, and no more.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// Each line of a body into a `serde_json::Value`; how many there were.
///
/// # Panics
///
/// If the body is not whole, or a line is not JSON.
pub async fn count_lines(mut body: Incoming) -> u64 {
    let (mut rest, mut count) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.expect("a whole body");
        rest.extend_from_slice(frame.data_ref().map(Bytes::as_ref).unwrap_or_default());
        let mut parsed = 0;
        while let Some(length) = memchr::memchr(b'\n', &rest[parsed..]) {
            let line = &rest[parsed..parsed + length];
            std::hint::black_box(serde_json::from_slice::<serde_json::Value>(line).expect("JSON"));
            count += 1;
            parsed += length + 1;
        }
        drop(rest.split_to(parsed));
    }
    count
}
