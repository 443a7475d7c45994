//! What reads headers and queries, for the fuzz targets (`crate::fuzz`).

use hyper::HeaderMap;
use hyper::header::{ACCEPT, COOKIE, HeaderName, HeaderValue};

use super::protocol;

pub(crate) fn query(text: &str) -> Result<Vec<(String, String)>, String> {
    protocol::pairs(text).collect()
}

pub(crate) fn cookies(values: &[&[u8]]) -> Vec<(String, String)> {
    let headers = headers(&COOKIE, values);
    protocol::cookies(&headers).map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

pub(crate) fn preferred(values: &[&[u8]], offers: &[&str]) -> Option<usize> {
    protocol::preferred(&headers(&ACCEPT, values), offers)
}

fn headers(name: &HeaderName, values: &[&[u8]]) -> HeaderMap {
    values.iter().filter_map(|value| Some((name.clone(), HeaderValue::from_bytes(value).ok()?))).collect()
}
