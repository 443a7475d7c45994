//! The guard: who sends a request, and whether they may. Decided in one place, before
//! anything is done.
//!
//! Without `[access]` in the configuration nobody has to show who they are; what acts is
//! then done from this machine only (`policies::check_local`). With it, what is not
//! permitted is refused.

use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};

use super::Shared;
use super::clients::Key;
use super::peer::Peer;
use super::policies::names_this_machine;
use super::problem::{Cause, Problem};
use super::shown::Shown;
use super::viewer::Viewer;
use crate::access::{Access, Identity, Role};

/// Who may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right<'a> {
    /// Whoever can connect, as often as they like: whether the server is well.
    Probe,
    /// Whoever can connect.
    Anybody,
    /// Whoever can connect, unless `access.public` says otherwise: it says nothing about
    /// events.
    Published,
    /// Submit events.
    Submit,
    /// See what concerns one: everything, or one's own policies.
    See,
    /// See what cannot be shown in part.
    SeeWhole,
    /// Act on what this publisher has published.
    Own(&'a str),
    /// Act for the platform.
    Act,
    /// Read the metrics.
    Measure,
}

impl Right<'_> {
    /// What the guard refuses a request for that takes this.
    pub(super) fn causes(self, method: &Method) -> Vec<Cause> {
        let mut causes = vec![Cause::TokenInUrl];
        causes.extend((!method.is_safe()).then_some(Cause::ForeignSite));
        causes.extend((self != Right::Probe).then_some(Cause::TooMany));
        if !self.is_open(true) || !self.is_open(false) {
            causes.extend([Cause::Unauthenticated, Cause::Forbidden]);
        }
        causes
    }

    /// Whether nobody has to show who they are, where what is published is public or not.
    pub(super) fn is_open(self, is_public: bool) -> bool {
        matches!(self, Right::Probe | Right::Anybody) || self == Right::Published && is_public
    }

    /// Whether a role has it.
    fn is_of(self, role: &Role) -> bool {
        match self {
            Right::Probe | Right::Anybody | Right::Published => true,
            Right::Submit => *role == Role::Ingest,
            Right::See => matches!(role, Role::Operator | Role::Auditor | Role::Regulator(_)),
            Right::SeeWhole => matches!(role, Role::Operator | Role::Auditor),
            Right::Own(publisher) => *role == Role::Operator || *role == Role::Regulator(publisher.to_string()),
            Right::Act => *role == Role::Operator,
            Right::Measure => matches!(role, Role::Operator | Role::Auditor | Role::Metrics),
        }
    }

    /// Roles that have it, in words.
    pub(super) fn roles(self) -> String {
        match self {
            Right::Probe | Right::Anybody | Right::Published => "any role".into(),
            Right::Submit => "the role ingest".into(),
            Right::See => "the role operator, auditor or regulator:PUBLISHER".into(),
            Right::SeeWhole => "the role operator or auditor".into(),
            // A policy that nobody has published is the platform's.
            Right::Own("") | Right::Act => "the role operator".into(),
            Right::Own(publisher) => format!("the role operator or regulator:{publisher}"),
            Right::Measure => "the role operator, auditor or metrics".into(),
        }
    }
}

/// Whoever sends a request, put with it; nobody if nobody has to show who they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Caller(pub(super) Option<Arc<Identity>>);

impl Caller {
    /// Who sent a request.
    pub(super) fn of(parts: &Parts) -> Self {
        parts.extensions.get::<Caller>().cloned().unwrap_or_default()
    }
}

/// Lets a request pass if whoever sends it has the right, and puts a [`Viewer`] and a
/// [`Caller`] with it.
pub(super) fn check(shared: &Shared, peer: &Peer, parts: &mut Parts, right: Right<'_>) -> Result<(), Problem> {
    check_site(parts)?;
    let Some(access) = &shared.options.access else {
        check_name(shared, parts, right)?;
        enter(shared, peer, parts, right, None)?;
        parts.extensions.insert(Viewer::Whole);
        parts.extensions.insert(Caller(None));
        return Ok(());
    };
    check_url(parts)?;
    let is_open = right.is_open(access.is_public());
    let identified = identify(access, peer, parts);
    // Whoever guesses is counted as well.
    enter(shared, peer, parts, right, identified.as_ref().ok().and_then(Option::as_deref))?;
    let identity = match identified {
        Ok(identity) => identity,
        // What everybody may see is seen with an old token as well.
        Err(_) if is_open => None,
        Err(problem) => return Err(problem),
    };
    let Some(identity) = identity else {
        if !is_open {
            return Err(unauthenticated());
        }
        parts.extensions.insert(Viewer::of_roles(&[]));
        parts.extensions.insert(Caller(None));
        return Ok(());
    };
    if !is_open && !identity.roles.iter().any(|role| right.is_of(role)) {
        let roles: Vec<String> = identity.roles.iter().map(ToString::to_string).collect();
        let has = if roles.is_empty() { "has no role".to_string() } else { format!("has {}", roles.join(", ")) };
        return Err(Problem::new(Cause::Forbidden, format!("This takes {}; {identity} {has}.", right.roles())));
    }
    if let Some(shown) = token(&parts.headers).map(|token| Shown::new(access, token)) {
        parts.extensions.insert(shown);
    }
    parts.extensions.insert(Viewer::of_roles(&identity.roles));
    parts.extensions.insert(Caller(Some(identity)));
    Ok(())
}

/// Counts a request for its client.
fn enter(shared: &Shared, peer: &Peer, parts: &mut Parts, right: Right<'_>, identity: Option<&Identity>) -> Result<(), Problem> {
    if right == Right::Probe {
        return Ok(());
    }
    let key = || identity.map_or_else(|| Key::of(peer.address.ip()), |identity| Key::Name(identity.to_string()));
    if let Some(ticket) = shared.clients.enter(key)? {
        parts.extensions.insert(ticket);
    }
    Ok(())
}

fn unauthenticated() -> Problem {
    let detail =
        "Send Authorization: Bearer and a token that is in force, or connect with a client certificate that the configuration names.";
    Problem::new(Cause::Unauthenticated, detail)
}

/// Who sends a request; nobody if it says nothing about that.
///
/// # Errors
///
/// If what it says does not hold: the same whatever is wrong with it.
fn identify(access: &Access, peer: &Peer, parts: &Parts) -> Result<Option<Arc<Identity>>, Problem> {
    let mut credentials = parts.headers.get_all(AUTHORIZATION).iter();
    if let Some(credential) = credentials.next() {
        // Two that differ would let a proxy see one and us the other.
        let only = credentials.next().is_none().then(|| credential.to_str().ok()).flatten();
        let identity = only.and_then(bearer).and_then(|token| access.bearer(token));
        return identity.map(Some).ok_or_else(unauthenticated);
    }
    if let Some(token) = super::login::session(&parts.headers) {
        return access.bearer(token).map(Some).ok_or_else(unauthenticated);
    }
    let Some(certificate) = &peer.certificate else { return Ok(None) };
    Ok(access.certificate(&certificate.fingerprint, &certificate.names))
}

/// The token that [`identify`] has taken; nothing if it was a certificate.
fn token(headers: &HeaderMap) -> Option<&str> {
    match headers.get(AUTHORIZATION) {
        Some(credential) => credential.to_str().ok().and_then(bearer),
        None => super::login::session(headers),
    }
}

/// The token of `Authorization: Bearer` (RFC 6750, section 2.1).
fn bearer(credential: &str) -> Option<&str> {
    let (scheme, token) = credential.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A URL is in histories, logs and referrers (RFC 6750, section 5.3).
fn check_url(parts: &Parts) -> Result<(), Problem> {
    let query = parts.uri.query().unwrap_or_default();
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    let named = names
        .map(str::to_ascii_lowercase)
        .any(|name| matches!(name.as_str(), "access_token" | "token" | "bearer" | "jwt" | "authorization"));
    if named || query.contains(crate::access::tokens::PREFIX) {
        let detail = "A token in a URL ends up in histories and logs: revoke this one, and send the next as Authorization: Bearer.";
        return Err(Problem::new(Cause::TokenInUrl, detail));
    }
    Ok(())
}

/// Where nobody has to show who they are, a page of another site that has its own name lead
/// to this machine would read everything, and submit events: its browser takes it for that
/// site's own.
fn check_name(shared: &Shared, parts: &Parts, right: Right<'_>) -> Result<(), Problem> {
    let is_open = matches!(right, Right::Probe | Right::Anybody | Right::Published);
    match is_open || !shared.loopback || names_this_machine(parts).unwrap_or(true) {
        true => Ok(()),
        false => {
            let detail = "Nobody has to show who they are here, so this is done under the name of this machine only: with localhost or 127.0.0.1 in the URL. `[access]` in the configuration lets others in.";
            Err(Problem::new(Cause::ForeignHost, detail).at_header("host"))
        }
    }
}

/// What changes something comes from no page of another site. Programs that are no
/// browsers say neither.
fn check_site(parts: &Parts) -> Result<(), Problem> {
    if parts.method.is_safe() {
        return Ok(());
    }
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let text = |name: &HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let host = parts.uri.authority().map(|authority| authority.as_str()).or_else(|| text(&HOST));
    let is_own = |origin: &str| origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == host);
    let foreign = text(&SEC_FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none")
        || parts.headers.contains_key(ORIGIN) && !text(&ORIGIN).is_some_and(is_own);
    match foreign {
        true => Err(Problem::new(Cause::ForeignSite, "This is done from a page of this server, or from a program.").at_header("origin")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;
    use crate::access::Settings;
    use crate::server::peer::ClientCertificate;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::post("/v1/erasures");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    fn access() -> Access {
        let text = "[access.certificates.shop]\nname = \"shop.example\"\nroles = [\"ingest\"]\n[access.certificates.desk]\nfingerprint = \"sha256:ABAB\"\nroles = [\"auditor\"]\n";
        let text = text.replace("ABAB", &"AB".repeat(32));
        let settings: std::collections::BTreeMap<String, Settings> = toml::from_str(&text).expect("settings");
        Access::open(&settings["access"], std::path::Path::new("")).expect("opened").expect("a way in")
    }

    #[test]
    fn a_certificate_counts_where_nothing_else_is_shown() {
        let access = access();
        let peer = |fingerprint: u8, name: &str| Peer {
            address: "192.0.2.1:9".parse().expect("an address"),
            certificate: Some(ClientCertificate { fingerprint: [fingerprint; 32], names: vec![name.to_string()] }),
        };
        let who = |peer: &Peer, headers: &[(&str, &str)]| {
            identify(&access, peer, &parts(headers)).map(|who| who.map(|who| who.to_string())).map_err(|problem| problem.cause)
        };
        assert_eq!(who(&peer(0, "shop.example"), &[]), Ok(Some("certificate:shop".into())));
        assert_eq!(who(&peer(0xab, "other"), &[]), Ok(Some("certificate:desk".into())));
        assert_eq!(who(&peer(0, "other"), &[]), Ok(None));
        // What is shown and does not hold is refused, whatever else is shown.
        for headers in [[("authorization", "Bearer ephor_x")], [("authorization", "Basic x")], [("cookie", "ephor_session=ephor_x")]] {
            assert_eq!(who(&peer(0, "shop.example"), &headers), Err(Cause::Unauthenticated), "{headers:?}");
        }
    }

    #[test]
    fn a_browser_acts_for_its_own_site_only() {
        for own in
            [&[][..], &[("sec-fetch-site", "same-origin")], &[("host", "a:1"), ("origin", "http://a:1")], &[("sec-fetch-site", "none")]]
        {
            assert!(check_site(&parts(own)).is_ok(), "{own:?}");
        }
        for foreign in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("host", "a:1"), ("origin", "http://b:1")],
            &[("host", "a"), ("origin", "null")],
            &[("origin", "http://a")],
        ] {
            assert!(check_site(&parts(foreign)).is_err(), "{foreign:?}");
        }
    }
}
