//! Styles, scripts and pictures, which are part of the binary.

use std::sync::LazyLock;

use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue};
use hyper::http::request::Parts;

use crate::server::body::ResponseBody;
use crate::server::protocol;

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
    static TAGS: LazyLock<[HeaderValue; FILES.len()]> = LazyLock::new(|| FILES.map(|file| tag_of(&file)));
    let at = FILES.iter().position(|file| file.name == name)?;
    let (file, tag) = (&FILES[at], &TAGS[at]);
    let mut response = Response::new(ResponseBody::full(file.bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.media));
    headers.insert(ETAG, tag.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    protocol::tag(&parts.headers, &mut response);
    Some(response)
}

fn tag_of(file: &File) -> HeaderValue {
    HeaderValue::try_from(protocol::entity_tag(file.bytes)).unwrap_or(HeaderValue::from_static("\"\""))
}
