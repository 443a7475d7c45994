//! Who looks at the page, in which language and theme, and what was asked for.

use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::ACCEPT_LANGUAGE;
use hyper::http::request::Parts;
use time::OffsetDateTime;

use super::texts::{self, Language};
use crate::server::Shared;
use crate::server::guard::Caller;
use crate::server::policies::check_local;
use crate::server::protocol;
use crate::server::viewer::Viewer;

/// Seconds for which a browser remembers language and theme: a year.
const REMEMBERED_S: u32 = 365 * 86_400;

/// Light or dark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::server) enum Theme {
    /// As the viewer's system has it.
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub(in crate::server) const ALL: [Theme; 3] = [Theme::Auto, Theme::Light, Theme::Dark];

    /// The word in addresses, in the cookie and in the markup.
    pub(in crate::server) fn name(self) -> &'static str {
        match self {
            Theme::Auto => "auto",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    /// The one that a browser remembers.
    pub(in crate::server) fn remembered(headers: &HeaderMap) -> Self {
        cookie(headers, "theme").and_then(Theme::named).unwrap_or_default()
    }

    fn named(name: &str) -> Option<Self> {
        Theme::ALL.into_iter().find(|theme| theme.name() == name)
    }
}

/// What every view is given.
pub(in crate::server) struct Context<'a> {
    pub(in crate::server) shared: &'a Arc<Shared>,
    pub(in crate::server) language: Language,
    pub(in crate::server) theme: Theme,
    /// What may be shown.
    pub(in crate::server) viewer: Viewer,
    /// Whether the request comes from this machine, as for what of events is kept.
    is_local: bool,
    /// Who looks, where somebody has to show who they are.
    pub(in crate::server) caller: Caller,
    pub(in crate::server) now: OffsetDateTime,
    /// The path that was asked for.
    pub(in crate::server) path: &'a str,
    query: Vec<(String, String)>,
}

impl<'a> Context<'a> {
    pub(in crate::server) fn new(shared: &'a Arc<Shared>, parts: &'a Parts) -> Self {
        let query = pairs(parts.uri.query().unwrap_or_default());
        let asked = |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let language = asked("lang")
            .and_then(Language::named)
            .or_else(|| cookie(&parts.headers, "lang").and_then(Language::named))
            .or_else(|| accepted(&parts.headers))
            .unwrap_or_default();
        let theme = asked("theme").and_then(Theme::named);
        Context {
            shared,
            language,
            theme: theme.unwrap_or_else(|| Theme::remembered(&parts.headers)),
            viewer: Viewer::of(parts),
            is_local: check_local(shared, parts).is_ok(),
            caller: Caller::of(parts),
            now: OffsetDateTime::now_utc(),
            path: parts.uri.path(),
            query,
        }
    }

    /// Whether what came in events may be shown, as it is given out by `/v1/events/`.
    pub(in crate::server) fn sees_content(&self) -> bool {
        self.viewer.is_whole() && self.is_local
    }

    /// Whether subjects of events may be shown.
    pub(in crate::server) fn sees_subjects(&self) -> bool {
        self.viewer.subject_is_open(self.shared)
    }

    /// A value of the query; absent if it is empty.
    pub(in crate::server) fn asked(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// A text.
    pub(in crate::server) fn text(&self, key: &str) -> &'static str {
        texts::get(self.language, key)
    }

    /// A text with values in the places of `{name}`.
    pub(in crate::server) fn text_with(&self, key: &str, values: &[(&str, &str)]) -> String {
        texts::fill(self.text(key), values)
    }

    /// The text `key.one` or `key.other`, as the number has it, with the number in the
    /// place of `{n}`.
    pub(in crate::server) fn count(&self, key: &str, n: u64) -> String {
        self.count_with(key, n, &[])
    }

    /// The same with further values.
    pub(in crate::server) fn count_with(&self, key: &str, n: u64, values: &[(&str, &str)]) -> String {
        let form = if n == 1 { "one" } else { "other" };
        let n = super::parts::number(n);
        let values: Vec<(&str, &str)> = values.iter().copied().chain([("n", n.as_str())]).collect();
        self.text_with(&format!("{key}.{form}"), &values)
    }

    /// Where the same view is with another value in the query.
    pub(in crate::server) fn link_with(&self, name: &str, value: &str) -> String {
        let mut query: Vec<(&str, &str)> =
            self.query.iter().filter(|(known, _)| known != name).map(|(name, value)| (name.as_str(), value.as_str())).collect();
        query.push((name, value));
        link(self.path, &query)
    }

    /// What was said in the address is remembered by the browser, not here.
    pub(in crate::server) fn cookies_to_set(&self) -> Vec<String> {
        let of = |name: &str, value: &str| format!("{name}={value}; Path=/; Max-Age={REMEMBERED_S}; SameSite=Strict");
        let language = self.asked("lang").and_then(Language::named).map(|language| of("lang", language.tag()));
        let theme = self.asked("theme").and_then(Theme::named).map(|theme| of("theme", theme.name()));
        language.into_iter().chain(theme).collect()
    }
}

/// An address of the page: a path, and a query of names and values.
pub(in crate::server) fn link(path: &str, query: &[(&str, &str)]) -> String {
    let mut link = path.to_string();
    for (index, (name, value)) in query.iter().enumerate() {
        link.push(if index == 0 { '?' } else { '&' });
        link.extend(url::form_urlencoded::byte_serialize(name.as_bytes()));
        link.push('=');
        link.extend(url::form_urlencoded::byte_serialize(value.as_bytes()));
    }
    link
}

/// Names and values of a query. What is not UTF-8 is left out: a page is asked by links
/// and forms of its own.
fn pairs(query: &str) -> Vec<(String, String)> {
    protocol::pairs(query).flatten().collect()
}

/// A cookie's value.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    protocol::cookies(headers).find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// The language that the browser would rather have (RFC 9110, 12.5.4).
fn accepted(headers: &HeaderMap) -> Option<Language> {
    let ranges = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut best: Option<(f32, Language)> = None;
    for range in ranges {
        let (tag, quality) = range.split_once(';').unwrap_or((range, ""));
        let quality = quality.trim().strip_prefix("q=").map_or(Some(1.0), |quality| quality.parse().ok()).unwrap_or(0.0);
        if let Some(language) = Language::named(tag.trim())
            && best.is_none_or(|(so_far, _)| quality > so_far)
            && quality > 0.0
        {
            best = Some((quality, language));
        }
    }
    best.map(|(_, language)| language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_is_preferred() {
        let accepted = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, hyper::header::HeaderValue::from_static(value));
            accepted(&headers)
        };
        assert_eq!(accepted("zh-CN,zh;q=0.9,en;q=0.8"), Some(Language::Chinese));
        assert_eq!(accepted("de, en;q=0.3, zh;q=0.5"), Some(Language::Chinese));
        assert_eq!(accepted("en-GB"), Some(Language::English));
        assert_eq!(accepted("fr, zh;q=0"), None);
    }

    #[test]
    fn a_link_takes_any_value() {
        assert_eq!(link("/subject", &[("source", "/a b"), ("subject", "x&y=ü")]), "/subject?source=%2Fa+b&subject=x%26y%3D%C3%BC");
        assert_eq!(pairs("source=%2Fa+b&x"), [("source".to_string(), "/a b".to_string()), ("x".to_string(), String::new())]);
    }

    #[test]
    fn cookies_are_told_apart() {
        let mut headers = HeaderMap::new();
        headers.insert(hyper::header::COOKIE, hyper::header::HeaderValue::from_static("a=1; theme=dark; lang=zh"));
        assert_eq!(cookie(&headers, "theme"), Some("dark"));
        assert_eq!(cookie(&headers, "them"), None);
    }
}
