//! Pages of lists that are sorted by a policy's name.

use hyper::Response;
use hyper::header::{HeaderValue, LINK};
use hyper::http::request::Parts;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::body::ResponseBody;
use super::problem::{Cause, Problem};
use super::protocol::query;

/// Items of a page, at most, and where nothing else is asked for.
pub(super) const LIMIT_MAX: usize = 1_000;

/// Which part of a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    limit: usize,
    after: Option<String>,
}

impl Page {
    pub(super) fn of(parts: &Parts) -> Result<Self, Problem> {
        let mut page = Page { limit: LIMIT_MAX, after: None };
        for (name, value) in query(parts.uri.query().unwrap_or_default())? {
            match name.as_str() {
                "limit" => page.limit = limit(&value, LIMIT_MAX)?,
                _ => page.after = Some(value),
            }
        }
        Ok(page)
    }

    /// The page of what is sorted by name, and the cursor of the next one, if there is one.
    /// Items of one name are never on two pages.
    pub(super) fn cut<T>(&self, items: Vec<T>, name: impl Fn(&T) -> &str) -> (Vec<T>, Option<String>) {
        let mut page: Vec<T> = Vec::new();
        for item in items.into_iter().filter(|item| self.after.as_deref().is_none_or(|after| name(item) > after)) {
            let is_new = page.last().is_none_or(|last| name(last) != name(&item));
            if is_new && page.len() >= self.limit {
                let last = page.last().map(|last| name(last).to_string());
                return (page, last);
            }
            page.push(item);
        }
        (page, None)
    }

    /// Says where the next page is.
    pub(super) fn link(&self, response: &mut Response<ResponseBody>, path: &str, next: Option<&str>) {
        if let Some(next) = next {
            let after = utf8_percent_encode(next, NON_ALPHANUMERIC);
            link(response, &format!("{path}?limit={}&after={after}", self.limit));
        }
    }
}

/// A page's size.
pub(super) fn limit(value: &str, max: usize) -> Result<usize, Problem> {
    let limit = value.parse().ok().filter(|limit| (1..=max).contains(limit));
    limit.ok_or_else(|| Problem::new(Cause::Query, format!("limit={value} is not a number from 1 to {max}.")))
}

/// Says where the next page is (RFC 8288).
pub(super) fn link(response: &mut Response<ResponseBody>, next: &str) {
    if let Ok(link) = HeaderValue::try_from(format!("<{next}>; rel=\"next\"")) {
        response.headers_mut().insert(LINK, link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_on_one_page() {
        let items = vec!["a", "b", "b", "c"];
        let page = |limit, after: Option<&str>| Page { limit, after: after.map(str::to_string) }.cut(items.clone(), |item| item);
        assert_eq!(page(2, None), (vec!["a", "b", "b"], Some("b".into())));
        assert_eq!(page(2, Some("b")), (vec!["c"], None));
        assert_eq!(page(9, None), (items.clone(), None));
        assert_eq!(page(1, Some("c")), (vec![], None));
    }
}
