//! Styles, scripts and pictures, which are part of the binary.

use std::sync::LazyLock;

use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use crate::digest::Digest;
use crate::server::body::ResponseBody;

struct File {
    name: &'static str,
    media: &'static str,
    bytes: &'static [u8],
}

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const FILES: [File; 9] = [
    File { name: "backtest.js", media: SCRIPT, bytes: include_bytes!("static/backtest.js") },
    File { name: "map.js", media: SCRIPT, bytes: include_bytes!("static/map.js") },
    File { name: "icon.svg", media: "image/svg+xml", bytes: include_bytes!("static/icon.svg") },
    File { name: "style.css", media: STYLE, bytes: include_bytes!("static/style.css") },
    File { name: "frame.js", media: SCRIPT, bytes: include_bytes!("static/frame.js") },
    File { name: "feed.js", media: SCRIPT, bytes: include_bytes!("static/feed.js") },
    File { name: "merkle.js", media: SCRIPT, bytes: include_bytes!("static/merkle.js") },
    File { name: "proof.js", media: SCRIPT, bytes: include_bytes!("static/proof.js") },
    File { name: "plot.js", media: SCRIPT, bytes: include_bytes!("static/plot.js") },
];

/// A file, if there is one of this name. Scripts name each other without a version, so
/// a browser asks each time whether it has the right one, by the digest of the content.
pub(super) fn get(parts: &Parts, name: &str) -> Option<Response<ResponseBody>> {
    static TAGS: LazyLock<[HeaderValue; FILES.len()]> = LazyLock::new(|| FILES.map(|file| tag(&file)));
    let at = FILES.iter().position(|file| file.name == name)?;
    let (file, tag) = (&FILES[at], &TAGS[at]);
    let known = parts.headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let known = known.flat_map(|value| value.split(',')).any(|value| value.trim().trim_start_matches("W/").as_bytes() == tag.as_bytes());
    let mut response = Response::new(ResponseBody::full(if known { &[] } else { file.bytes }));
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.media));
    headers.insert(ETAG, tag.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(response)
}

fn tag(file: &File) -> HeaderValue {
    let tag = format!("\"{}\"", &Digest::of(file.bytes).hex()[..32]);
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""))
}
