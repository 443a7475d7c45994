//! `/login` and `/logout`: a browser keeps a token in a cookie that no script reads and no
//! other site sends.

use std::sync::Arc;

use hyper::header::{HeaderValue, SET_COOKIE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded;

use super::body::{RequestBody, ResponseBody};
use super::events::MediaType;
use super::problem::{Cause, Problem};
use super::protocol::{cookies, preferred, see_other};
use super::{Shared, page};
use crate::access::Access;

/// The cookie.
pub(super) const COOKIE_NAME: &str = "ephor_session";

/// Bytes of a form with a token.
const FORM_BYTES_MAX: usize = 16 << 10;

/// The token that a browser has kept.
pub(super) fn session(headers: &HeaderMap) -> Option<&str> {
    cookies(headers).find(|(name, token)| *name == COOKIE_NAME && !token.is_empty()).map(|(_, token)| token)
}

/// Whether a browser asks for a page, which is better led to the form than refused.
pub(super) fn wants_page(parts: &Parts) -> bool {
    parts.method == Method::GET && preferred(&parts.headers, &["application/problem+json", "text/html"]) == Some(1)
}

/// Leads a browser to the form, and from there back.
pub(super) fn lead(parts: &Parts) -> Response<ResponseBody> {
    let back = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    see_other(&format!("/login?to={}", utf8_percent_encode(back, NON_ALPHANUMERIC)))
}

/// The form.
pub(super) fn form(shared: &Arc<Shared>, parts: &Parts) -> Result<Response<ResponseBody>, Problem> {
    of(shared)?;
    let query = parts.uri.query().unwrap_or_default();
    let back = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "to").map(|(_, value)| value.into_owned());
    Ok(page::login(shared, parts, StatusCode::OK, &back.unwrap_or_default(), false))
}

/// Takes a token from the form, and gives it to the browser to keep.
pub(super) async fn enter(shared: &Arc<Shared>, parts: &Parts, body: &mut RequestBody) -> Result<Response<ResponseBody>, Problem> {
    let access = of(shared)?;
    if MediaType::of(&parts.headers)?.is_none_or(|media| media.essence != "application/x-www-form-urlencoded") {
        return Err(Problem::new(Cause::ActMediaType, "Send the form as application/x-www-form-urlencoded.").at_header("content-type"));
    }
    let limits = &shared.limits;
    let form = body.collect(FORM_BYTES_MAX, limits.body_idle_timeout(), limits.body_timeout(), &shared.room).await?;
    let (mut token, mut back) = (String::new(), String::new());
    for (name, value) in form_urlencoded::parse(&form) {
        match &*name {
            "token" => token = value.trim().to_string(),
            "to" => back = value.into_owned(),
            _ => {}
        }
    }
    let is_text = token.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte));
    let Some(identity) = Some(&token).filter(|_| is_text).and_then(|token| access.bearer(token)) else {
        return Ok(page::login(shared, parts, StatusCode::UNAUTHORIZED, &back, true));
    };
    tracing::info!(who = %identity, "Logged in");
    let mut response = see_other(if is_own(&back) { &back } else { "/" });
    set_cookie(shared, &mut response, &token, "");
    Ok(response)
}

/// Takes the token from the browser again.
pub(super) fn leave(shared: &Shared) -> Result<Response<ResponseBody>, Problem> {
    of(shared)?;
    let mut response = see_other("/login");
    set_cookie(shared, &mut response, "", "; Max-Age=0");
    Ok(response)
}

fn of(shared: &Shared) -> Result<&Arc<Access>, Problem> {
    let detail = "Nobody logs in here: `access` in the configuration says who is let in, and this server has none.";
    shared.options.access.as_ref().ok_or_else(|| Problem::new(Cause::NotFound, detail))
}

fn set_cookie(shared: &Shared, response: &mut Response<ResponseBody>, token: &str, more: &str) {
    // Beyond this machine, and where a proxy does TLS, it is only sent over TLS.
    let in_clear = shared.loopback && shared.door.is_none() && !shared.limits.tls.elsewhere;
    let secure = if in_clear { "" } else { "; Secure" };
    let cookie = format!("{COOKIE_NAME}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    if let Ok(mut cookie) = HeaderValue::from_str(&cookie) {
        cookie.set_sensitive(true);
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
}

/// Whether a place to go back to is on this server.
fn is_own(back: &str) -> bool {
    back.starts_with('/') && !back.starts_with("//") && back.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_leads_to_no_other_server() {
        for own in ["/", "/v1/verdicts?from=3", "/event/18"] {
            assert!(is_own(own), "{own}");
        }
        for foreign in ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a\nb", "login", "/\tx"] {
            assert!(!is_own(foreign), "{foreign}");
        }
    }

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        assert_eq!(session(&headers), None);
        headers.append(hyper::header::COOKIE, HeaderValue::from_static("theme=dark; ephor_session=abc ; x=y"));
        assert_eq!(session(&headers), Some("abc"));
        headers.clear();
        headers.append(hyper::header::COOKIE, HeaderValue::from_static("not_ephor_session=abc; ephor_session="));
        assert_eq!(session(&headers), None);
    }
}
