//! Who may do what (HT-20 to HT-22, HT-27): tokens, tokens of an identity provider,
//! certificates; every route for every role; what one client may send.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ephor::server::surface;
use ephor_tests::client::{Answer, EVENT, LINES, Version};
use ephor_tests::jwt::{self, Issuer};
use ephor_tests::tls::{Authority, Kind, put};
use ephor_tests::{Ephor, binary, documents, event, policy, settings};
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};

use crate::publishers::{Both, text, words};
use crate::{GOOD, LISTED};

/// A folder with a file of tokens.
pub struct Door(tempfile::TempDir);

impl Door {
    pub fn new() -> Door {
        Door(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn token(&self, verb: &str, args: &[&str]) -> Output {
        let tokens = self.path("tokens.json");
        ephor(&[&["token", verb, "--tokens", text(&tokens)], args].concat(), &[])
    }

    /// Makes a token.
    #[track_caller]
    pub fn create(&self, name: &str, roles: &[&str]) -> String {
        let roles = roles.iter().flat_map(|role| ["--role", role]);
        self.made("create", &[name].into_iter().chain(roles).collect::<Vec<_>>())
    }

    #[track_caller]
    fn made(&self, verb: &str, args: &[&str]) -> String {
        let output = self.token(verb, args);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_string()
    }

    /// The configuration that lets them in; `more` stands in `[access]` and behind it.
    pub fn config(&self, more: &str) -> String {
        format!("[access]\ntokens = {:?}\n{more}", text(&self.path("tokens.json")))
    }
}

fn ephor(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary());
    command.args(args).env_remove("EPHOR_TOKEN").envs(environment.iter().copied()).stdin(Stdio::null());
    command.output().expect("the binary starts")
}

/// What a program has said, on both its outputs.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A request with these headers.
pub async fn send(ephor: &Ephor, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut request = Request::builder().method(method).uri(ephor.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ephor.request(request.body(Full::new(body.into())).expect("a well-formed request")).await
}

pub async fn ask(ephor: &Ephor, path: &str, token: &str) -> Answer {
    send(ephor, "GET", path, &[("authorization", &format!("Bearer {token}"))], "").await
}

pub async fn act(ephor: &Ephor, path: &str, token: &str, document: Value) -> Answer {
    let headers = [("authorization", &*format!("Bearer {token}")), ("content-type", "application/json")];
    send(ephor, "POST", path, &headers, document.to_string()).await
}

/// What a problem's type ends with.
fn kind(answer: &Answer) -> String {
    let problem = if answer.header("content-type") == "application/problem+json" { answer.json() } else { Value::Null };
    problem["type"].as_str().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default().to_string()
}

/// Waits until a token is taken, or is not.
async fn until(ephor: &Ephor, token: &str, status: u16) {
    let begin = std::time::Instant::now();
    while ask(ephor, "/v1/status", token).await.status != status {
        assert!(begin.elapsed() < ephor_tests::PATIENCE, "waited for {status}\n{}", ephor.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ht_20_a_token_is_made_used_rotated_and_revoked_while_the_server_runs() {
    use std::os::unix::fs::PermissionsExt as _;
    let door = Door::new();
    let alice = door.create("alice", &["operator"]);
    let ephor = Ephor::start_with(&door.config(""), &[]);
    ask(&ephor, "/v1/status", &alice).await.expect(200);
    let bob = door.create("bob", &["auditor"]);
    until(&ephor, &bob, 200).await;

    // Whatever is wrong, the answer is the same.
    let other = format!("{}{}", &alice[..alice.len() - 1], if alice.ends_with('0') { '1' } else { '0' });
    let mut answers = vec![send(&ephor, "GET", "/v1/status", &[], "").await];
    for wrong in [other.as_str(), "", "ephor_", "ephor_00000000_00", "x", "a.b.c", &bob[..20]] {
        answers.push(ask(&ephor, "/v1/status", wrong).await);
    }
    for value in [format!("Basic {alice}"), format!("Bearer {alice}, Bearer {bob}"), format!("Bearer{alice}")] {
        answers.push(send(&ephor, "GET", "/v1/status", &[("authorization", &value)], "").await);
    }
    let twice = [("authorization", &*format!("Bearer {alice}")), ("authorization", "Bearer x")];
    answers.push(send(&ephor, "GET", "/v1/status", &twice, "").await);
    for answer in &answers {
        assert_eq!((answer.status.as_u16(), answer.text()), (401, answers[0].text()));
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"ephor\"");
    }

    // A second one for the same name, and the first goes.
    let second = door.made("rotate", &["alice", "--overlap", "0s"]);
    until(&ephor, &second, 200).await;
    until(&ephor, &alice, 401).await;
    let revoked = door.token("revoke", &["alice"]);
    assert_eq!(String::from_utf8_lossy(&revoked.stdout).lines().count(), 2, "{}", said(&revoked));
    until(&ephor, &second, 401).await;
    ask(&ephor, "/v1/status", &bob).await.expect(200);
    let brief = door.made("create", &["eve", "--role", "auditor", "--expires", "2s"]);
    until(&ephor, &brief, 200).await;
    until(&ephor, &brief, 401).await;

    let file = door.path("tokens.json");
    let (kept, listed) = (std::fs::read_to_string(&file).expect("a file"), said(&door.token("list", &[])));
    for secret in [&alice, &bob, &second, &brief] {
        let random = &secret[16..];
        assert!(!kept.contains(random) && !listed.contains(random) && !ephor.log().contains(random));
    }
    assert!(listed.contains("bob") && listed.contains("auditor") && listed.contains("EXPIRED"), "{listed}");
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    for (verb, args) in [
        ("create", &["x"][..]),
        ("create", &["x", "--role", "root"]),
        ("create", &["a b", "--role", "ingest"]),
        ("create", &["x", "--role", "ingest", "--expires", "0s"]),
        ("revoke", &["nobody"]),
        ("rotate", &["nobody"]),
    ] {
        assert_eq!(door.token(verb, args).status.code(), Some(2), "{verb} {args:?}");
    }

    // A file that is no more lets nobody in; one that is none changes nothing.
    put(&file, "{");
    ephor.wait_until("the file is read", || ephor.log().contains("Not as it should be"));
    ask(&ephor, "/v1/status", &bob).await.expect(200);
    std::fs::remove_file(&file).expect("removed");
    until(&ephor, &bob, 401).await;
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// HT-20: tokens of a provider hold only if everything about them does.
#[tokio::test(flavor = "multi_thread")]
async fn ht_20_tokens_of_a_provider_are_taken_whole_or_not_at_all() {
    let door = Door::new();
    let (issuer, rsa, stranger) = (Issuer::ed25519("one"), Issuer::rsa("two"), Issuer::ed25519("one"));
    let secret = json!({"kty": "oct", "k": jwt::base64url(b"a secret that both sides have..."), "kid": "three", "alg": "HS256"});
    let keys = door.path("jwks.json");
    put(&keys, &json!({"keys": [issuer.jwk(), rsa.jwk(), secret, {"kty": "new", "kid": "four"}]}).to_string());
    let config = format!(
        "[access.jwt]\nissuer = \"https://login.example/\"\naudience = \"ephor\"\nkeys = {:?}\nroles-claim = \"/realm/roles\"\nleeway-s = 5\n\
         [access.jwt.roles]\nstaff = [\"auditor\"]\n",
        text(&keys)
    );
    let ephor = Ephor::start_with(&config, &[]);
    let good = || json!({"iss": "https://login.example/", "aud": "ephor", "sub": "alice", "exp": now() + 600, "realm": {"roles": ["staff", "operator"]}});
    let with = |changes: Value| {
        let mut claims = good();
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        claims
    };
    for token in [
        issuer.token(&good()),
        rsa.token(&good()),
        issuer.token(&with(json!({"aud": ["other", "ephor"], "nbf": now() - 10, "exp": now() - 1}))),
    ] {
        ask(&ephor, "/v1/status", &token).await.expect(200);
    }
    let acts = act(&ephor, "/v1/erasures", &issuer.token(&good()), json!({})).await;
    assert_eq!((acts.status.as_u16(), kind(&acts)), (403, "forbidden".into()), "with a map, a word is no role: {}", acts.text());
    assert!(acts.text().contains("the role operator") && acts.text().contains("jwt:alice has auditor"), "{}", acts.text());

    let mut wrong = BTreeMap::from([
        ("expired", issuer.token(&with(json!({"exp": now() - 600})))),
        ("without an end", issuer.token(&with(json!({"exp": null})))),
        ("an end that is no number", issuer.token(&with(json!({"exp": "tomorrow"})))),
        ("not yet", issuer.token(&with(json!({"nbf": now() + 600})))),
        ("for somebody else", issuer.token(&with(json!({"aud": "other"})))),
        ("for nobody", issuer.token(&with(json!({"aud": null})))),
        ("of another issuer", issuer.token(&with(json!({"iss": "https://login.example"})))),
        ("of no issuer", issuer.token(&with(json!({"iss": null})))),
        ("of nobody", issuer.token(&with(json!({"sub": null})))),
        ("of an empty name", issuer.token(&with(json!({"sub": ""})))),
        ("not signed", jwt::none(&good())),
        ("with another key of that name", stranger.token(&good())),
        ("with a secret of the key set", Issuer::with_secret(b"a secret that both sides have...", "three", &good())),
        ("a header that asks for more", issuer.token_with(json!({"alg": "EdDSA", "kid": "one", "crit": ["b64"], "b64": true}), &good())),
        ("another algorithm", issuer.token_with(json!({"alg": "RS256", "kid": "one"}), &good())),
        ("an unknown key", issuer.token_with(json!({"alg": "EdDSA", "kid": "nine"}), &good())),
    ]);
    let token = issuer.token(&good());
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    wrong.insert("cut off", format!("{signed}."));
    wrong.insert("without its signature", signed.to_string());
    let (header, _) = signed.split_once('.').expect("claims");
    let other = jwt::base64url(with(json!({"realm": {"roles": ["staff"]}, "sub": "bob"})).to_string().as_bytes());
    wrong.insert("other claims", format!("{header}.{other}.{signature}"));
    let nobody = send(&ephor, "GET", "/v1/status", &[], "").await.text();
    for (what, token) in &wrong {
        let answer = ask(&ephor, "/v1/status", token).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (401, nobody.clone()), "{what}");
    }
    for token in [issuer.confused(&good()), rsa.confused(&good())].concat() {
        assert_eq!(ask(&ephor, "/v1/status", &token).await.status, 401, "a public key taken for a secret");
    }
    // The keys change, and with them who is let in.
    put(&keys, &json!({"keys": [stranger.jwk()]}).to_string());
    until(&ephor, &stranger.token(&good()), 200).await;
    ask(&ephor, "/v1/status", &issuer.token(&good())).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn ht_20_a_token_in_a_url_is_refused() {
    let door = Door::new();
    let alice = door.create("alice", &["operator"]);
    let ephor = Ephor::start_with(&door.config(""), &[]);
    for path in [format!("/v1/status?access_token={alice}"), "/v1/status?token=x".into(), format!("/v1/verdicts?from=1&subject={alice}")] {
        for headers in [&[][..], &[("authorization", &*format!("Bearer {alice}"))]] {
            let answer = send(&ephor, "GET", &path, headers, "").await;
            assert_eq!((answer.status.as_u16(), kind(&answer)), (400, "token-in-url".into()), "{path}");
            assert!(!answer.text().contains(&alice));
        }
    }
}

/// What was begun with a token does not outlive it.
#[tokio::test(flavor = "multi_thread")]
async fn ht_20_a_feed_ends_with_the_token_that_it_was_asked_for_with() {
    let door = Door::new();
    let (alice, shop) = (door.create("alice", &["auditor"]), door.create("shop", &["ingest"]));
    let ephor = Ephor::start_in(&door.path("data"), &door.config(""), &[]);
    let mut feed = ephor_tests::raw::Raw::connect(ephor.address());
    let address = ephor.address();
    feed.write(format!("GET /v1/verdicts?follow=true HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {alice}\r\n\r\n"));
    let headers = [("authorization", &*format!("Bearer {shop}")), ("content-type", EVENT)];
    send(&ephor, "POST", "/v1/events", &headers, event::listing(1, LISTED).to_string()).await.expect(200);
    feed.read_through("\"verdict\"");
    assert!(door.token("revoke", &["alice"]).status.success());
    until(&ephor, &alice, 401).await;
    // Each event is something that the feed would say.
    let (ended, mut has_ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || ended.send(feed.closed_within(ephor_tests::PATIENCE)));
    let closed = loop {
        send(&ephor, "POST", "/v1/events", &headers, event::listing(now(), LISTED).to_string()).await.expect(200);
        tokio::select! {
            closed = &mut has_ended => break closed.expect("a thread that has looked"),
            () = tokio::time::sleep(std::time::Duration::from_millis(200)) => {}
        }
    };
    assert!(closed.is_some(), "who is revoked reads on");
}

const BEGIN: &str = "<!-- roles: written by tests/it/access.rs -->\n";
const END: &str = "<!-- /roles -->";

/// HT-21: every route for every role, from the code's own list of routes, against a server
/// that runs. The table in `runtime/ROLES.md` is what was seen.
#[tokio::test(flavor = "multi_thread")]
async fn ht_21_every_route_for_every_role_is_as_the_table_says() {
    let door = Door::new();
    let roles = ["ingest", "regulator:office", "regulator:other", "operator", "auditor", "metrics"];
    let tokens: Vec<String> = roles.iter().map(|role| door.create("somebody", &[role])).collect();
    let (open, shut) = (Ephor::start_with(&door.config(""), &[]), Ephor::start_with(&door.config("public = false\n"), &[]));
    let mut table = String::from("| path | method | nobody |");
    roles.iter().for_each(|role| table.push_str(&format!(" {role} |")));
    let _ = write!(table, "\n|---|---|---|{}\n", "---|".repeat(roles.len()));
    for route in surface() {
        for method in &route.methods {
            let mut row = String::new();
            let mut cells = Vec::new();
            for token in std::iter::once(None).chain(tokens.iter().map(Some)) {
                let bearer = token.map(|token| format!("Bearer {token}"));
                let mut headers = vec![("content-type", "application/json")];
                headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
                let mut may = Vec::new();
                for ephor in [&open, &shut] {
                    let answer = send(ephor, method, route.sample, &headers, "").await;
                    let kind = if *method == "HEAD" { head_kind(&answer) } else { kind(&answer) };
                    may.push(match (kind.as_str(), token) {
                        ("unauthenticated", None) | ("forbidden", Some(_)) => false,
                        ("unauthenticated" | "forbidden", _) => panic!("{method} {} with {token:?}: {}", route.sample, answer.text()),
                        _ => true,
                    });
                }
                cells.push(match may[..] {
                    [true, true] => "yes",
                    [true, false] => "if public",
                    [false, false] => "no",
                    _ => panic!("{method} {}: what is not public is for more", route.sample),
                });
            }
            let _ = write!(row, "| `{}` | {method} |", route.shown);
            cells.iter().for_each(|cell| row.push_str(&format!(" {cell} |")));
            let _ = writeln!(table, "{row}");
        }
    }
    documents::part_is_up_to_date("runtime/ROLES.md", BEGIN, END, &table);
}

/// HEAD has no body: its status has to do.
fn head_kind(answer: &Answer) -> String {
    match answer.status.as_u16() {
        401 => "unauthenticated".into(),
        403 => "forbidden".into(),
        _ => String::new(),
    }
}

/// What is asked without a role is asked by nobody.
#[tokio::test(flavor = "multi_thread")]
async fn ht_21_what_is_not_said_is_refused() {
    let door = Door::new();
    door.create("somebody", &["ingest"]);
    let ephor = Ephor::start_with(&door.config(""), &[]);
    for (path, status) in
        [("/v1/status", 401), ("/livez", 200), ("/readyz", 200), ("/v1/log/key", 200), ("/v1/nothing", 404), ("/metrics", 401)]
    {
        assert_eq!(send(&ephor, "GET", path, &[], "").await.status, status, "{path}");
    }
    // Also over HTTP/2, and whatever the method is.
    let request = Request::get(ephor.url("/v1/policies")).body(Full::default()).expect("a request");
    ephor.request_h2(request).await.expect(401);
    assert_eq!(ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.status, 401);
    assert_eq!(ephor.post(EVENT, event::listing(1, LISTED).to_string()).await.status, 401);
    assert!(ephor.log().contains("has to show who they are"));
}

/// A regulator's part: its own policies' findings, and what it was granted.
#[tokio::test(flavor = "multi_thread")]
async fn ht_21_a_regulator_sees_its_own_part_and_takes_back_its_own() {
    const OFFICE: &str = "market-office/negative-list";
    let (both, door) = (Both::new(), Door::new());
    both.release(GOOD, "1.0.0", &words(&["CIGAR", "ZITHER"]), &[]);
    let (op, shop) = (door.create("olga", &["operator"]), door.create("shop", &["ingest"]));
    let (office, other) = (door.create("duty", &["regulator:market-office"]), door.create("elsewhere", &["regulator:other-office"]));
    let told = format!("[outgoing.fraud-team.file]\npath = {:?}\n", text(&both.path("told.ndjson")));
    let config = format!("{}{}[ledger]\nevents = \"full\"\n{told}", door.config(""), both.config(3600, "begin = \"enforce\""));
    let ephor = Ephor::start_in(&both.path("data"), &config, &[]);
    // The platform's own policy, beside the office's.
    let bearer = format!("Bearer {op}");
    let put = [("authorization", &*bearer), ("content-type", "application/wasm")];
    send(&ephor, "PUT", &format!("/v1/policies/{GOOD}"), &put, policy(GOOD)).await;
    let set = [("authorization", &*bearer), ("content-type", "multipart/form-data; boundary=x")];
    let form = [
        b"--x\r\ncontent-disposition: form-data; name=\"component\"\r\n\r\n".to_vec(),
        policy(GOOD),
        format!("\r\n--x\r\ncontent-disposition: form-data; name=\"settings\"\r\n\r\n{}\r\n--x--\r\n", settings(GOOD)).into_bytes(),
    ];
    send(&ephor, "PUT", &format!("/v1/policies/{GOOD}"), &set, form.concat()).await.succeeded();
    let events = event::ndjson([event::listing(1, LISTED), event::listing(2, "LANTERN")]);
    let headers = [("authorization", &*format!("Bearer {shop}")), ("content-type", LINES)];
    let answers = send(&ephor, "POST", "/v1/events", &headers, events).await.expect(200).lines();
    assert_eq!(answers[0]["findings"].as_array().map(Vec::len), Some(2), "{answers:?}");

    let whole = ask(&ephor, "/v1/verdicts", &op).await.expect(200);
    let seen = ask(&ephor, "/v1/verdicts", &office).await.expect(200);
    let judged: Vec<Value> = seen.lines().into_iter().filter(|entry| entry.get("source").is_some()).collect();
    assert_eq!(judged.len(), 2, "{}", seen.text());
    for entry in &judged {
        let asked = entry["asked"].as_array().expect("a list");
        assert!(asked.iter().all(|asked| asked["policy"] == OFFICE) && asked.len() == 1, "{entry}");
        assert_eq!(entry["narrowed"], true);
        for hidden in ["digest", "subject", "handling"] {
            assert!(entry.get(hidden).is_none(), "{hidden}: {entry}");
        }
    }
    assert_eq!((&judged[0]["verdict"], &judged[1]["verdict"]), (&"deny".into(), &"allow".into()));
    let own = format!("\"policy\":\"{GOOD}\"");
    assert!(whole.text().contains(&own) && !seen.text().contains(&own) && !seen.text().contains("\"start\""));
    // A query is about what is shown.
    let query = ask(&ephor, &format!("/v1/verdicts?policy={GOOD}"), &office).await;
    assert_eq!((query.status.as_u16(), kind(&query)), (404, "no-such-policy".into()), "what is not shown is as if it were not there");
    assert_eq!(ask(&ephor, "/v1/verdicts?verdict=deny", &office).await.lines().len(), 1);

    let policies = |answer: &Answer, member: &str| -> Vec<String> {
        let list = answer.json()[member].as_array().cloned().unwrap_or_default();
        list.iter().map(|policy| event::text(policy, "policy").to_string()).collect()
    };
    for (path, member) in [("/v1/policies", "policies"), ("/v1/releases", "releases")] {
        assert_eq!(policies(&ask(&ephor, path, &office).await, member), [OFFICE], "{path}");
        assert_eq!(policies(&ask(&ephor, path, &op).await, member).len(), 2, "{path}");
        assert_eq!(policies(&ask(&ephor, path, &other).await, member), Vec::<String>::new(), "{path}");
    }
    assert_eq!(ask(&ephor, &format!("/v1/policies/{GOOD}"), &office).await.status, 404, "as if it were not there");
    ask(&ephor, &format!("/v1/policies/{OFFICE}"), &office).await.expect(200);
    let headers = [("authorization", &*format!("Bearer {other}")), ("accept", "application/json")];
    let status = send(&ephor, "GET", "/v1/status", &headers, "").await.expect(200).json();
    assert_eq!((&status["releases"], &status["publishers"], &status["narrowed_to"]), (&json!([]), &json!([]), &json!(["other-office"])));
    // Whom the platform tells what is its own affair.
    let told = async |token: &str| ask(&ephor, "/v1/status", token).await.expect(200).text().contains("fraud-team");
    assert!(told(&op).await && !told(&office).await && !told(&other).await);
    assert_eq!(ask(&ephor, "/v1/verdicts", &other).await.expect(200).text(), "");
    let first = event::sequence(&answers[0]);
    for path in [format!("/v1/events/{first}"), "/v1/log/tile/entries/000.p/1".into(), "/metrics".into()] {
        assert_eq!(kind(&ask(&ephor, &path, &office).await), "forbidden", "{path}");
    }
    // The page shows it no more than that.
    let page = ask(&ephor, &format!("/event/{first}"), &office).await.expect(200).text();
    assert!(page.contains(OFFICE) && page.contains("Only what your policies said"), "{page}");
    for hidden in [format!("/policy/{GOOD}\""), "sku/1".into(), "entry-line".into(), "BOX OF".into()] {
        assert!(!page.contains(&hidden), "{hidden}: {page}");
    }
    assert_eq!(ask(&ephor, &format!("/event/{first}"), &other).await.status, 404);
    assert_eq!(kind(&ask(&ephor, &format!("/event/{first}/entry"), &office).await), "forbidden");
    assert_eq!(ask(&ephor, &format!("/policy/{GOOD}"), &office).await.status, 404);
    ask(&ephor, &format!("/policy/{OFFICE}"), &office).await.expect(200);
    assert_eq!(ask(&ephor, "/subject?source=%2Ftests&subject=sku%2F1", &office).await.status, 403);
    assert!(!ask(&ephor, "/subjects", &office).await.expect(200).text().contains("sku/1"));
    let whole = ask(&ephor, &format!("/event/{first}"), &op).await.expect(200).text();
    assert!(whole.contains("entry-line") && whole.contains("BOX OF"), "{whole}");

    // What its own policies found is the same, whatever others found of it.
    let zither = event::listing(3, "A ZITHER").to_string();
    let headers = [("authorization", &*format!("Bearer {shop}")), ("content-type", EVENT)];
    let alone = event::sequence(&send(&ephor, "POST", "/v1/events", &headers, zither).await.expect(200).json());
    let begin = std::time::Instant::now();
    for path in ["/".to_string(), format!("/?policy={GOOD}")] {
        while !ask(&ephor, &path, &office).await.expect(200).text().contains(&format!("href=\"/event/{alone}\"")) {
            assert!(begin.elapsed() < ephor_tests::PATIENCE, "{path} is about what others found");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    // The platform promotes; the office takes back.
    let path = |what: &str| format!("/v1/releases/{OFFICE}/{what}");
    for what in ["promote", "demote"] {
        assert_eq!(kind(&act(&ephor, &path(what), &office, json!({})).await), "forbidden", "{what}");
    }
    let reason = json!({"reason": "the list was wrong"});
    assert_eq!(kind(&act(&ephor, &path("withdraw"), &other, reason.clone()).await), "forbidden");
    assert_eq!(kind(&act(&ephor, &format!("/v1/releases/{GOOD}/withdraw"), &office, reason.clone()).await), "forbidden", "the platform's");
    let lie = json!({"reason": "x", "by": "olga"});
    let lie = act(&ephor, &path("withdraw"), &office, lie).await;
    assert!(lie.status == 400 && lie.text().contains("token:duty"), "{}", lie.text());
    act(&ephor, &path("withdraw"), &office, reason).await.expect(200);
    let erased =
        act(&ephor, "/v1/erasures", &op, json!({"source": "/tests", "id": "2", "by": "olga", "reason": "asked for by counsel"})).await;
    erased.expect(200);
    // Whoever did something is in the ledger under the name that was shown.
    let entries = ask(&ephor, "/v1/verdicts", &op).await.expect(200).lines();
    let by = |what: &str| -> Vec<String> {
        let changes = entries.iter().filter_map(|entry| entry.get("change")).filter(|change| change["what"] == what);
        changes.map(|change| event::text(change, "by").to_string()).collect()
    };
    assert_eq!(by("remove"), ["token:duty"], "all of the policy is withdrawn");
    assert!(by("install").contains(&"token:olga".to_string()), "{:?}", by("install"));
    let erasures: Vec<&str> = entries.iter().filter_map(|entry| entry.get("erasure")).map(|erasure| event::text(erasure, "by")).collect();
    assert_eq!(erasures, ["token:olga"]);
}

/// HT-22: a client beyond its bound is told when to come back; others notice nothing.
#[tokio::test(flavor = "multi_thread")]
async fn ht_22_one_client_beyond_its_bound_is_refused_and_others_are_not() {
    let door = Door::new();
    let (noisy, quiet, op) = (door.create("noisy", &["ingest"]), door.create("quiet", &["ingest"]), door.create("op", &["operator"]));
    let config = door.config("[server.clients]\nrequests-per-second = 5\nevents-per-second = 500\nopen-max = 3\n");
    let ephor = Ephor::start_with(&config, &[]);
    let post = async |token: &str, id: u64| {
        let headers = [("authorization", &*format!("Bearer {token}")), ("content-type", EVENT)];
        send(&ephor, "POST", "/v1/events", &headers, event::listing(id, LISTED).to_string()).await
    };
    let mut refused = None;
    for id in 0..1_000 {
        let answer = post(&noisy, id).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        answer.expect(200);
    }
    let refused = refused.expect("one client sends as it likes");
    assert_eq!((refused.header("retry-after"), kind(&refused)), ("1", "too-many".into()));
    assert!(refused.text().contains("server.clients.requests-per-second"), "{}", refused.text());
    post(&quiet, 2_000).await.expect(200);
    for _ in 0..20 {
        assert_eq!(send(&ephor, "GET", "/livez", &[], "").await.status, 200, "probes are not counted");
    }
    // A stream waits and is answered whole. It holds what it has open.
    let bearer = format!("Bearer {quiet}");
    let (mut sending, mut answers) = ephor.stream(Version::Http1, &[("authorization", &bearer)]).await;
    for id in 0..2_000u64 {
        assert!(sending.send(format!("{}\n", event::listing(10_000 + id, "LANTERN"))).await, "the stream is taken");
    }
    drop(sending);
    for _ in 0..2_000 {
        assert_eq!(answers.next().await.expect("an answer")["verdict"], "allow");
    }
    let page = ask(&ephor, "/metrics", &op).await.expect(200).text();
    for bound in ["requests", "events"] {
        let name = format!("ephor_http_throttled_total{{bound=\"{bound}\"}}");
        assert!(page.lines().any(|line| line.starts_with(&name) && !line.ends_with(" 0")), "{name}\n{page}");
    }
    for name in ["noisy", "quiet"] {
        assert!(!page.contains(name), "no client is a label");
    }
}

/// HT-27: beyond this machine nobody is let in unknown; on it, whoever acts without having
/// shown who they are cannot take a name that was shown.
#[tokio::test(flavor = "multi_thread")]
async fn ht_27_without_access_there_is_this_machine_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ephor.toml");
    std::fs::write(&file, "[server.tls]\nelsewhere = true\n").expect("written");
    // An address that no machine has (RFC 5737): whatever is allowed, nothing is opened.
    let refused = ephor(&["serve", "--in-memory", "--listen", "192.0.2.1:0", "--config", text(&file)], &[]);
    let words = said(&refused);
    assert_eq!(refused.status.code(), Some(2), "{words}");
    for part in ["192.0.2.1:0", "ephor token create", "[access]", "tokens = "] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let ephor = Ephor::start_with("[ledger]\nevents = \"full\"\n", &[]);
    ephor.get("/v1/status").await.expect(200);
    let erase = |by: &str| json!({"subject": "x", "by": by}).to_string();
    for by in ["token:alice", "JWT:alice", "certificate:x"] {
        let answer = ephor.act("/v1/erasures", erase(by)).await;
        assert!(answer.status == 400 && answer.text().contains("nobody has"), "{}", answer.text());
    }
    ephor.act("/v1/erasures", erase("privacy office: alice")).await.expect(200);
    let rebound = send(&ephor, "POST", "/v1/erasures", &[("host", "evil.example"), ("content-type", "application/json")], erase("x")).await;
    assert_eq!((rebound.status.as_u16(), kind(&rebound)), (403, "foreign-host".into()));
    let foreign = [("origin", "https://evil.example"), ("content-type", "application/json")];
    assert_eq!(kind(&send(&ephor, "POST", "/v1/erasures", &foreign, erase("x")).await), "foreign-site");
    // A page whose name leads here is of its own site, as its browser sees it: it reads and submits nothing.
    let rebound = [("host", "evil.example:80"), ("origin", "http://evil.example:80"), ("content-type", EVENT)];
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/v1/verdicts"),
        ("GET", "/v1/status"),
        ("GET", "/plots/verdicts.svg"),
        ("HEAD", "/metrics"),
        ("POST", "/v1/events"),
    ] {
        let answer = send(&ephor, method, path, &rebound, event::listing(1, LISTED).to_string()).await;
        assert_eq!(answer.status, 403, "{method} {path}");
        assert!(method == "HEAD" || kind(&answer) == "foreign-host", "{method} {path}: {}", answer.text());
    }
    for path in ["/livez", "/v1/log/key", "/static/style.css"] {
        assert_ne!(send(&ephor, "GET", path, &rebound[..1], "").await.status, 403, "{path}");
    }
    assert_eq!(ephor.get("/login").await.status, 404, "nobody logs in here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_with_a_token_and_no_other_site_acts_in_its_name() {
    let door = Door::new();
    let alice = door.create("alice", &["operator"]);
    let ephor = Ephor::start_with(&door.config(""), &[]);
    let led = send(&ephor, "GET", "/v1/status?a=b", &[("accept", "text/html,*/*;q=0.8")], "").await;
    assert_eq!((led.status.as_u16(), led.header("location")), (303, "/login?to=%2Fv1%2Fstatus%3Fa%3Db"));
    let page = ephor.get("/login?to=%2Fv1%2Fstatus%22%3E%3Cscript").await.expect(200);
    assert!(page.text().contains("value=\"/v1/status&quot;&gt;&lt;script\""), "{}", page.text());
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    let form = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
    let wrong = send(&ephor, "POST", "/login", &form, "token=ephor_x&to=/").await;
    assert_eq!((wrong.status.as_u16(), wrong.header("set-cookie")), (401, ""));
    for (to, place) in [("%2Fv1%2Fstatus", "/v1/status"), ("%2F%2Fevil.example", "/"), ("https%3A%2F%2Fevil.example", "/")] {
        let entered = send(&ephor, "POST", "/login", &form, format!("token={alice}&to={to}")).await;
        assert_eq!((entered.status.as_u16(), entered.header("location")), (303, place));
        let cookie = entered.header("set-cookie");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/"), "{cookie}");
    }
    // Where a proxy does TLS, the cookie goes over that only.
    let behind = Ephor::start_with(&door.config("[server.tls]\nelsewhere = true\n"), &[]);
    let entered = send(&behind, "POST", "/login", &form, format!("token={alice}")).await;
    assert!(entered.header("set-cookie").ends_with("; Secure"), "{}", entered.header("set-cookie"));
    let cookie = format!("ephor_session={alice}");
    let with = |more: &[(&'static str, &'static str)]| -> Vec<(&'static str, String)> {
        let json = [("content-type", "application/json")];
        let headers = json.iter().chain(more).map(|(name, value)| (*name, value.to_string()));
        headers.chain([("cookie", cookie.clone())]).collect()
    };
    let own = ephor.url("");
    let send_with = async |method: &str, path: &str, headers: Vec<(&'static str, String)>| {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        send(&ephor, method, path, &headers, "{}").await
    };
    send_with("GET", "/v1/status", with(&[])).await.expect(200);
    for foreign in
        [[("sec-fetch-site", "cross-site")], [("sec-fetch-site", "same-site")], [("origin", "http://evil.example")], [("origin", "null")]]
    {
        assert_eq!(kind(&send_with("POST", "/v1/erasures", with(&foreign)).await), "foreign-site", "{foreign:?}");
    }
    let mut headers = with(&[("sec-fetch-site", "same-origin")]);
    headers.push(("origin", own));
    assert_eq!(kind(&send_with("POST", "/v1/erasures", headers).await), "query", "it is let through, and says nothing");
    let left = send(&ephor, "POST", "/logout", &[("cookie", &cookie)], "").await;
    assert_eq!((left.status.as_u16(), left.header("location")), (303, "/login"));
    assert!(left.header("set-cookie").starts_with("ephor_session=; ") && left.header("set-cookie").contains("Max-Age=0"));
    assert!(!ephor.log().contains(&alice[16..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_its_token() {
    let door = Door::new();
    let token = door.create("alice", &["auditor"]);
    let ephor_at = Ephor::start_with(&door.config(""), &[]);
    let (file, at) = (door.path("token"), ephor_at.url(""));
    put(&file, &format!("{token}\n"));
    let status = ["status", "--at", &at, "--json"];
    let run = |more: &[&str], environment: &[(&str, &str)]| ephor(&[&status, more].concat(), environment);
    assert_eq!(run(&[], &[]).status.code(), Some(3), "nobody is let in unknown");
    assert_eq!(run(&["--token-file", text(&file)], &[]).status.code(), Some(0));
    assert_eq!(run(&[], &[("EPHOR_TOKEN", &token)]).status.code(), Some(0));
    assert_eq!(run(&["--token-file", "/nonexistent"], &[]).status.code(), Some(2));
    let acts = ephor(&["release", "withdraw", "office/x", "--reason", "r", "--at", &at], &[("EPHOR_TOKEN", &token)]);
    assert!(acts.status.code() == Some(3) && said(&acts).contains("token:alice has auditor"), "{}", said(&acts));
    let broken = run(&[], &[("EPHOR_TOKEN", "a\nb")]);
    assert!(broken.status.code() == Some(2) && !said(&broken).contains("a\nb"), "{}", said(&broken));
}

/// A client certificate is known by a name in it, or by its fingerprint.
#[test]
fn a_certificate_is_somebody() {
    let door = Door::new();
    let authority = Authority::new("own");
    let (shop, stranger) = (authority.sign(Kind::Client, "shop.example", 1), authority.sign(Kind::Client, "shop.example.evil", 2));
    authority.sign(Kind::Server, "localhost", 3).write(door.0.path(), "server");
    put(&door.path("ca.pem"), &authority.pem());
    let path = |name: &str| format!("{:?}", text(&door.path(name)));
    let config = format!(
        "[server.tls]\ncertificate = {}\nkey = {}\nclient-authorities = [{}]\nclient-certificates = \"optional\"\n[access.certificates.shop]\nname = \"shop.example\"\nroles = [\"auditor\"]\n",
        path("server.pem"),
        path("server.key"),
        path("ca.pem")
    );
    let ephor = Ephor::start_secure(&authority.client(None), &config, &[]);
    let status = |client| {
        let mut raw = ephor_tests::raw::Raw::secure(ephor.address(), &client).expect("a handshake");
        raw.get("/v1/status").status
    };
    assert_eq!(status(authority.client(Some(&shop))), 200);
    assert_eq!(status(authority.client(Some(&stranger))), 401, "a certificate of the authority is nobody yet");
    assert_eq!(status(authority.client(None)), 401);
}
