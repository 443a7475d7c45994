//! What HTTP asks of every operation, done once for all: methods, the query's names, what
//! the client takes, entity tags, and the headers that every answer has.

use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::body::ResponseBody;
use super::openapi::{Operation, Path, TABLE};
use super::problem::{Cause, Problem};
use crate::digest::Digest;

/// A request that is in order, as far as that can be said without knowing what it is about.
pub(super) enum Checked {
    /// It goes on.
    Right,
    /// It is answered by what it asked for.
    Answered(Response<ResponseBody>),
}

/// Holds path and method against what is described. What is there for people, with the methods
/// that it has, is described nowhere but by itself.
pub(super) fn check(parts: &Parts, for_people: Option<&'static str>) -> Result<Checked, Problem> {
    let path = parts.uri.path();
    if let Some(methods) = for_people {
        return match parts.method == Method::OPTIONS {
            true => Ok(Checked::Answered(options(methods))),
            false if methods.split(", ").any(|method| method == parts.method.as_str()) => Ok(Checked::Right),
            false => Err(no_method(parts, methods)),
        };
    }
    if parts.method == Method::OPTIONS && path == "*" {
        return Ok(Checked::Answered(options("GET, HEAD, POST, PUT, DELETE, OPTIONS")));
    }
    let Some(found) = TABLE.find(path) else { return Err(not_found(path)) };
    if parts.method == Method::OPTIONS {
        return Ok(Checked::Answered(options(found.allow())));
    }
    match found.operation(&parts.method) {
        Some(_) => Ok(Checked::Right),
        None => Err(no_method(parts, found.allow())),
    }
}

/// Holds what exactly is asked for against what is described: whoever may not ask at all is
/// told that before.
pub(super) fn check_asked(parts: &Parts) -> Result<(), Problem> {
    let Some(operation) = TABLE.find(parts.uri.path()).and_then(|path| path.operation(&parts.method)) else { return Ok(()) };
    check_query(operation, parts.uri.query().unwrap_or_default())?;
    let offers: Vec<&str> = operation.offers().collect();
    if !offers.is_empty() && preferred(&parts.headers, &offers).is_none() {
        let detail = format!("What is here comes as {}; leave `Accept` out, or name one of these.", offers.join(" or "));
        return Err(Problem::new(Cause::NotAcceptable, detail).at_header("accept"));
    }
    Ok(())
}

fn options(allow: &str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

/// There is nothing at a path.
pub(super) fn not_found(path: &str) -> Problem {
    let near = TABLE.near(path).join(", ");
    Problem::new(Cause::NotFound, format!("There is nothing at this path. There are {near}; GET /v1/docs says what they are for."))
}

/// The methods of a path that is described.
pub(super) fn methods(path: &str) -> Option<&'static str> {
    TABLE.find(path).map(Path::allow)
}

fn no_method(parts: &Parts, allow: &'static str) -> Problem {
    Problem::new(Cause::Method(allow), format!("{} is not among the methods of this path: {allow}.", parts.method))
}

/// The parameters of a query, decoded.
///
/// # Errors
///
/// If one of them is not UTF-8.
pub(super) fn query(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let wrong = |text| Problem::new(Cause::Query, format!("The query has {text}, which is not UTF-8."));
    pairs(query).map(|pair| pair.map_err(wrong)).collect()
}

/// The same one by one; in the place of one that is not UTF-8 what that is.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = Result<(String, String), String>> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().map(|text| text.into_owned()).map_err(|_| text)
    };
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(name)?, decode(value)?))
    })
}

/// Names and values of a request's cookies (RFC 6265, 5.4).
pub(super) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    all.filter_map(|cookie| cookie.trim().split_once('='))
}

fn check_query(operation: &Operation, text: &str) -> Result<(), Problem> {
    let known: Vec<&str> = operation.query().collect();
    let mut seen = Vec::new();
    for (name, _) in query(text)? {
        if !known.contains(&name.as_str()) {
            let there = match known.as_slice() {
                [] => "there are none here".to_string(),
                known => format!("there are {}", known.join(", ")),
            };
            return Err(Problem::new(Cause::Query, format!("{name:?} is not a parameter of the query; {there}.")));
        }
        if seen.contains(&name) {
            return Err(Problem::new(Cause::Query, format!("{name} is there twice; say it once.")));
        }
        seen.push(name);
    }
    Ok(())
}

/// Which of several media types a client wants: the first without an `Accept` (RFC 9110,
/// 12.5.1); nothing if it wants none of them.
pub(super) fn preferred(headers: &HeaderMap, offers: &[&str]) -> Option<usize> {
    let mut ranges: Vec<(String, u16)> = Vec::new();
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',').filter(|range| !range.trim().is_empty()) {
            let mut parts = range.split(';');
            let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            let quality = parts.filter_map(|part| part.trim().strip_prefix("q=").or(part.trim().strip_prefix("Q="))).next_back();
            let quality = quality.map_or(1.0, |quality| quality.trim().parse::<f32>().unwrap_or(0.0));
            ranges.push((essence, (quality.clamp(0.0, 1.0) * 1_000.0) as u16));
        }
    }
    if ranges.is_empty() {
        return Some(0);
    }
    // The range that says most about an offer counts for it.
    let quality = |offer: &str| {
        let family = offer.split('/').next().unwrap_or_default();
        let says = |range: &str| match range {
            range if range == offer || offer == "*/*" => 3,
            range if range.strip_suffix("/*") == Some(family) => 2,
            "*/*" => 1,
            _ => 0,
        };
        let best = ranges.iter().filter(|(range, _)| says(range) > 0).max_by_key(|(range, _)| says(range));
        best.map_or(0, |(_, quality)| *quality)
    };
    let qualities = offers.iter().map(|offer| quality(offer)).enumerate().filter(|(_, quality)| *quality > 0);
    // Of equals the first offer.
    qualities.rev().max_by_key(|(_, quality)| *quality).map(|(index, _)| index)
}

/// Completes an answer: entity tag, or 304 for whoever has it already, and headers that
/// every answer has.
pub(super) fn complete(parts: &Parts, response: &mut Response<ResponseBody>) {
    let reads = parts.method == Method::GET || parts.method == Method::HEAD;
    if reads
        && response.status() == StatusCode::OK
        && let Some(operation) = TABLE.find(parts.uri.path()).and_then(|path| path.operation(&parts.method))
        && operation.is_tagged()
    {
        tag(&parts.headers, response);
        default(response, CACHE_CONTROL, "no-cache");
        if operation.offers().nth(1).is_some() {
            default(response, VARY, "accept");
        }
    }
    default(response, CACHE_CONTROL, "no-store");
    default(response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    if parts.method == Method::HEAD {
        without_body(response);
    }
}

/// Leads a browser to another place of this server, which it gets (RFC 9110, 15.4.4).
pub(super) fn see_other(place: &str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(""));
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(place) = HeaderValue::try_from(place) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}

fn default(response: &mut Response<ResponseBody>, name: HeaderName, value: &'static str) {
    response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
}

/// An entity tag for some bytes.
pub(super) fn entity_tag(bytes: &[u8]) -> String {
    format!("\"{}\"", &Digest::of(bytes).hex()[..32])
}

/// Gives an answer its entity tag, unless it has one; whoever has that already is not sent
/// the rest.
pub(super) fn tag(headers: &HeaderMap, response: &mut Response<ResponseBody>) {
    if !response.headers().contains_key(ETAG)
        && let ResponseBody::Full(body) = response.body()
        && let Ok(tag) = HeaderValue::try_from(entity_tag(body.as_deref().unwrap_or_default()))
    {
        response.headers_mut().insert(ETAG, tag);
    }
    let Some(tag) = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()) else { return };
    if names(headers, IF_NONE_MATCH, Some(tag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = ResponseBody::Full(None);
        response.headers_mut().remove(CONTENT_TYPE);
        response.headers_mut().remove(CONTENT_LENGTH);
    }
}

/// What an `If-Match` or `If-None-Match` says (RFC 9110, 8.8.3 and 13.1).
#[derive(Debug, PartialEq, Eq)]
enum Tags<'a> {
    Any,
    /// In quotes, without what makes them weak.
    These(Vec<&'a str>),
}

impl<'a> Tags<'a> {
    /// Reads a header's value; nothing if it is neither `*` nor entity tags with commas
    /// between. A comma may also be in a tag.
    fn parse(text: &'a str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Tags::Any);
        }
        let mut tags = Vec::new();
        let mut rest = text;
        loop {
            let tag = rest.trim_start();
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            let end = tag.strip_prefix('"')?.find('"')? + 2;
            if !tag[1..end - 1].bytes().all(|byte| byte.is_ascii_graphic()) {
                return None;
            }
            tags.push(&tag[..end]);
            rest = tag[end..].trim_start();
            if rest.is_empty() {
                return Some(Tags::These(tags));
            }
            rest = rest.strip_prefix(',')?;
        }
    }

    fn have(&self, tag: &str) -> bool {
        match self {
            Tags::Any => true,
            Tags::These(tags) => tags.contains(&tag),
        }
    }
}

/// Whether a list of entity tags has this one, or is `*` and there is one at all.
fn names(headers: &HeaderMap, list: HeaderName, tag: Option<&str>) -> bool {
    let mut listed = headers.get_all(list).iter().filter_map(|value| Tags::parse(value.to_str().ok()?));
    tag.is_some_and(|tag| listed.any(|tags| tags.have(tag)))
}

fn is_list_of_tags(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|text| Tags::parse(text).is_some())
}

/// Whether an act is conditional.
pub(super) fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_MATCH) || headers.contains_key(IF_NONE_MATCH)
}

/// Holds the conditions of an act against the tag of what it is about, if that is there.
pub(super) fn check_conditions(headers: &HeaderMap, tag: Option<&str>) -> Result<(), Problem> {
    let stands = || tag.map_or_else(|| "It is not there.".to_string(), |tag| format!("Its entity tag is {tag} now; look at it again."));
    let unmet = |header: &HeaderName| {
        let detail = format!("Nothing was done, because `{header}` does not hold. {}", stands());
        Err(Problem::new(Cause::Precondition, detail).at_header(header.as_str()))
    };
    for name in [IF_MATCH, IF_NONE_MATCH] {
        if headers.get_all(&name).iter().any(|value| !is_list_of_tags(value)) {
            let detail = format!("`{name}` is neither `*` nor entity tags in double quotes with commas between.");
            return Err(Problem::new(Cause::Header, detail).at_header(name.as_str()));
        }
    }
    if headers.contains_key(IF_MATCH) && !names(headers, IF_MATCH, tag) {
        return unmet(&IF_MATCH);
    }
    if headers.contains_key(IF_NONE_MATCH) && names(headers, IF_NONE_MATCH, tag) {
        return unmet(&IF_NONE_MATCH);
    }
    Ok(())
}

/// The answer to HEAD: the header of the answer to GET (RFC 9110, 9.3.2).
fn without_body(response: &mut Response<ResponseBody>) {
    if let ResponseBody::Full(Some(body)) = response.body() {
        let length = HeaderValue::from(body.len());
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    *response.body_mut() = ResponseBody::Full(None);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanting(accept: &str, offers: &[&str]) -> Option<usize> {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(ACCEPT, HeaderValue::from_str(accept).expect("a header"));
        }
        preferred(&headers, offers)
    }

    #[test]
    fn what_a_client_wants_most_is_found() {
        let both = ["text/plain", "application/json"];
        for (accept, expected) in [
            ("", Some(0)),
            ("*/*", Some(0)),
            ("application/json", Some(1)),
            ("APPLICATION/JSON;charset=utf-8", Some(1)),
            ("application/*", Some(1)),
            ("text/plain;q=0.5, application/json", Some(1)),
            ("application/json;q=0.5, text/plain", Some(0)),
            ("text/html,*/*;q=0.8", Some(0)),
            ("text/plain;q=0, */*", Some(1)),
            ("text/html", None),
            ("application/json;q=0", None),
        ] {
            assert_eq!(wanting(accept, &both), expected, "{accept}");
        }
        assert_eq!(wanting("image/png", &["*/*"]), Some(0));
    }

    #[test]
    fn tags_are_compared_without_their_weakness() {
        let mut headers = HeaderMap::new();
        assert_eq!(Tags::parse("W/\"a,\" , \"\",\"b\""), Some(Tags::These(vec!["\"a,\"", "\"\"", "\"b\""])));
        headers.insert(IF_MATCH, HeaderValue::from_static("\"a\", W/\"b\""));
        assert!(names(&headers, IF_MATCH, Some("\"b\"")) && !names(&headers, IF_MATCH, Some("\"c\"")));
        assert!(check_conditions(&headers, None).is_err());
        for bad in ["", "a", "{}", "\"a", "\"a\",", "*, \"a\"", "\"", "\"a\" \"b\"", "\"a b\""] {
            headers.insert(IF_MATCH, HeaderValue::from_str(bad).expect("a header"));
            let problem = check_conditions(&headers, Some("\"a\"")).expect_err(bad);
            assert_eq!(problem.cause, Cause::Header, "{bad}");
        }
        headers.insert(IF_MATCH, HeaderValue::from_static("*"));
        assert!(check_conditions(&headers, Some("\"c\"")).is_ok() && check_conditions(&headers, None).is_err());
    }

    #[test]
    fn names_of_a_query_are_decoded_and_known() {
        let path = TABLE.find("/v1/verdicts").expect("a path");
        let operation = path.operation(&Method::HEAD).expect("what GET does");
        assert!(check_query(operation, "fr%6Fm=1&limit=2").is_ok());
        for (bad, says) in [("frm=1", "\"frm\" is not"), ("from=1&from=2", "twice"), ("from=%ff", "UTF-8")] {
            let problem = check_query(operation, bad).expect_err(bad);
            assert!(problem.detail.contains(says), "{}", problem.detail);
        }
    }
}
