//! The view of an entry, and its proof, which the browser checks itself.

use std::net::SocketAddr;

use ephor_tests::browser::{Browser, DESKTOP, PHONE};
use ephor_tests::data::{self, Set};
use ephor_tests::{Ephor, event, policy, proxy, raw, settings, workspace};
use fantoccini::Locator;
use serde_json::{Value, json};

use crate::{GOOD, LISTED};

const FULL: &str = "[ledger]\nevents = \"full\"\n";

/// A server that keeps events, with real ones of a shop, some of which are denied, and one
/// that cannot be judged. Gives the sequences of one that is denied, one that is allowed,
/// and the one that cannot be judged.
async fn server(config: &str) -> (Ephor, [u64; 3]) {
    let ephor = Ephor::start_with(config, &[]);
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    let lines = data::sample(Set::Retail).into_iter().take(400).collect::<Vec<_>>().join("\n");
    ephor.post("application/x-ndjson", lines).await.succeeded();
    let mut broken = event::listing("broken", "");
    broken["data"] = json!({"description": 7});
    let answers = ephor.judge([event::listing("denied", LISTED), event::listing("allowed", "LANTERN"), broken]).await;
    let sequences = [0, 1, 2].map(|at| event::sequence(&answers[at]));
    signed(&ephor, sequences[2]).await;
    (ephor, sequences)
}

/// Waits until a checkpoint has an entry; gives it.
async fn signed(ephor: &Ephor, sequence: u64) -> String {
    let begin = std::time::Instant::now();
    loop {
        let checkpoint = ephor.checkpoint().await;
        if let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.size >= sequence) {
            return checkpoint.note;
        }
        assert!(begin.elapsed() < ephor_tests::PATIENCE, "no checkpoint has entry {sequence}\n{}", ephor.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn page(ephor: &Ephor, path: &str) -> raw::RawAnswer {
    raw::get(ephor.address(), path)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_says_who_found_what_on_which_clause_and_what_was_seen() {
    let (ephor, [denied, allowed, broken]) = server(FULL).await;
    let english = page(&ephor, &format!("/event/{denied}")).text();
    let rule = &serde_json::from_slice::<Value>(&ephor.get(&format!("/v1/policies/{GOOD}")).await.body).expect("JSON")["rules"][0];
    for said in [
        "A rule denies the event.",
        event::text(rule, "legal_basis"),
        "/data/description",
        "The entry commits to exactly these values",
        "<code>denied</code>",
        "href=\"/subject?source=%2Ftests&amp;subject=sku%2F1\"",
    ] {
        assert!(english.contains(said), "{said:?} is missing in\n{english}");
    }
    let found = ephor.entries(denied).await.remove(0);
    assert!(english.contains(&found.replace('"', "&quot;")) || english.contains(&found), "the entry stands there as it is");
    let chinese = page(&ephor, &format!("/event/{denied}?lang=zh")).text();
    let message = rule["messages"].as_array().expect("messages").iter().find(|message| event::text(message, "language").starts_with("zh"));
    let message = event::text(message.expect("a message in Chinese"), "text").split('{').next().expect("a beginning").to_string();
    assert!(chinese.contains(&message), "{message:?} is missing in\n{chinese}");
    assert!(page(&ephor, &format!("/event/{allowed}")).text().contains("Found nothing."));
    let text = page(&ephor, &format!("/event/{broken}")).text();
    assert!(
        text.contains("a field that it needs is missing, or of another type") && text.contains("something else than declared"),
        "{text}"
    );
    // What is no event is a view as well.
    assert!(page(&ephor, "/event/1").text().contains("The runtime started") || page(&ephor, "/event/1").text().contains("What is kept"));
    // Neighbours, and what has findings among them.
    assert!(english.contains(&format!("href=\"/event/{}\"", denied - 1)) && english.contains(&format!("href=\"/event/{}\"", denied + 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_is_not_shown_and_said() {
    let (ephor, [denied, ..]) = server("").await;
    let text = page(&ephor, &format!("/event/{denied}")).text();
    assert!(text.contains("The event itself was not kept") && text.contains("/data/description"), "{text}");
    assert!(text.contains("The entry commits to what it saw with:") && !text.contains(LISTED), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_for_what_is_not_there_is_told_what_to_do() {
    let (ephor, [.., last]) = server("").await;
    for (path, status, says) in [
        ("/event/9999".to_string(), 404, "There is no entry 9,999 in this log."),
        ("/event/0".into(), 404, "There is no entry 0"),
        (format!("/event?sequence={last}"), 200, "unreadable"),
        ("/event?sequence=1,0".into(), 200, "Entry 10"),
        ("/event?sequence=x".into(), 404, "digits alone"),
        ("/event".into(), 200, "What became of an event"),
    ] {
        let answer = page(&ephor, &path);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.text().contains(says), "{path}: {says:?} is missing in\n{}", answer.text());
    }
    assert!(page(&ephor, "/event/9999?lang=zh").text().contains("没有第 9,999 条记录"));
    for (path, status) in
        [("/event/9999/entry", 404), ("/event/1/path", 400), ("/event/1/path?size=99999", 404), ("/event/1/path?size=x", 400)]
    {
        let answer = page(&ephor, path);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.header("content-type").starts_with("application/problem+json"), "{path}");
    }
}

/// What comes from outside is text, wherever it stands.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_an_event_becomes_markup() {
    let ephor = Ephor::start_with(FULL, &[]);
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    let attack = "</code></script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let mut event = event::listing(attack, &format!("{LISTED} {attack}"));
    event["subject"] = json!(attack);
    let sequence = event::sequence(&ephor.judge([event]).await[0]);
    for path in [format!("/event/{sequence}"), "/subjects?q=%3C%2Fcode%3E%3Cscript%3E".to_string()] {
        let text = page(&ephor, &path).text();
        assert!(!text.contains("<script>alert") && !text.contains("<img src=x"), "{path}: {text}");
    }
}

/// Presses the button and gives what came of it: the state, and what is said.
async fn verify(browser: &Browser) -> (String, String) {
    browser.value("document.querySelector('.proof-outcome').removeAttribute('data-state')").await;
    browser.click("#proof button[type=submit]").await;
    let outcome = "document.querySelector('.proof-outcome').dataset.state";
    browser.wait_until("the proof is checked", &format!("{outcome} !== undefined && {outcome} !== 'working'")).await;
    let state = browser.value(outcome).await.as_str().unwrap_or_default().to_string();
    (state, browser.text(".proof-outcome").await)
}

/// Puts a text into a field of the form.
async fn fill(browser: &Browser, name: &str, text: &str) {
    browser.value(&format!("(document.querySelector('#proof [name={name}]').value = {})", json!(text))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_entry_is_verified_also_against_what_is_held() {
    let Some(browser) = Browser::start().await else { return };
    let (ephor, [denied, ..]) = server(FULL).await;
    let key = page(&ephor, "/v1/log/key").text();
    let before = signed(&ephor, 1).await;
    browser.open(&ephor.url(&format!("/event/{denied}?lang=en"))).await;
    let (state, said) = verify(&browser).await;
    assert_eq!(state, "verified", "{said}");
    assert!(said.contains("came from this server"), "{said}");
    let steps = browser.value("[...document.querySelectorAll('.proof-step')].map((step) => step.className)").await;
    assert_eq!(steps.as_array().map(Vec::len), Some(4), "entry, path, root, signature: {steps}");
    assert!(steps.as_array().is_some_and(|steps| steps.iter().all(|step| step == "proof-step good")), "{steps}");
    // Each hash of the way is the one that the server drew.
    let drawn = "[...document.querySelectorAll('.proof-drawn .node .hash')].map((hash) => hash.textContent).join()";
    let walked = "[...document.querySelectorAll('.proof-step .node .hash')].map((hash) => hash.textContent).join()";
    assert_eq!(browser.value(drawn).await, browser.value(walked).await);

    // A checkpoint that has the entry, and the log's key.
    fill(&browser, "keys", &key).await;
    fill(&browser, "checkpoint", &before).await;
    let (state, said) = verify(&browser).await;
    assert_eq!(state, "verified", "{said}");
    assert!(said.contains("Held against what you brought along"), "{said}");
    assert!(browser.text(".proof-steps").await.contains("is in the tree of your checkpoint"));

    // A checkpoint from before the entry.
    let answer = ephor.judge([event::listing("later", LISTED)]).await.remove(0);
    let later = event::sequence(&answer);
    signed(&ephor, later).await;
    browser.open(&ephor.url(&format!("/event/{later}"))).await;
    fill(&browser, "checkpoint", &before).await;
    let (state, said) = verify(&browser).await;
    assert_eq!(state, "verified", "{said}");
    assert!(browser.text(".proof-steps").await.contains("begins with exactly your log"));

    // What is held and is of another log, or was changed.
    let other = "ephor.invalid/0000000000000000";
    let held = before.replacen(before.lines().next().expect("an origin"), other, 1);
    fill(&browser, "checkpoint", &held).await;
    let (state, said) = verify(&browser).await;
    assert!(state == "refuted" && said.contains(other), "{said}");
    fill(&browser, "checkpoint", "").await;
    fill(&browser, "keys", &key.replacen('+', "x+", 1)).await;
    let (state, said) = verify(&browser).await;
    assert!(state == "refuted" && said.contains("does not belong to its name"), "{said}");
    browser.is_quiet(ephor.address());
}

/// One byte of an answer is another one on the way.
fn changed(ephor: &Ephor, which: &'static str, change: impl Fn(String) -> String + Clone + Send + 'static) -> SocketAddr {
    let is_it = move |path: &str| path.ends_with(which) || path.contains(which);
    proxy::between(ephor.address(), move |path, body| {
        if path.starts_with("/static/") || !is_it(path) {
            return body;
        }
        change(String::from_utf8(body).expect("text")).into_bytes()
    })
}

/// A text with the character at a place replaced by another one of the same kind.
fn flipped(text: &str, at: usize) -> String {
    let flip = |c: char| if c == 'A' { 'B' } else { 'A' };
    text.char_indices().map(|(place, c)| if place == at { flip(c) } else { c }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_changed_on_the_way_does_not_fit() {
    let Some(browser) = Browser::start().await else { return };
    let (ephor, [denied, ..]) = server(FULL).await;
    let in_line = |number: usize, text: &str| text.lines().take(number).map(|line| line.len() + 1).sum::<usize>();
    type Case = (&'static str, &'static str, Box<dyn Fn(String) -> String + Send + Sync>, &'static str);
    let cases: Vec<Case> = vec![
        (
            "entry",
            "/entry",
            Box::new(|text| text.replacen("\"verdict\":\"deny\"", "\"verdict\":\"flag\"", 1)),
            "is not the one that this page shows",
        ),
        // The third line is the first hash of the path.
        (
            "path",
            "/v1/log/proof/",
            Box::new(move |text| {
                let at = in_line(2, &text);
                flipped(&text, at)
            }),
            "leads to another root",
        ),
        (
            "length",
            "/v1/log/proof/",
            Box::new(|text| {
                let mut lines: Vec<&str> = text.split('\n').collect();
                lines.remove(2);
                lines.join("\n")
            }),
            "number of hashes",
        ),
        ("index", "/v1/log/proof/", Box::new(|text| text.replacen("\nindex ", "\nindex 1", 1)), "not about this one"),
        (
            "signature",
            "/v1/log/proof/",
            Box::new(|text| {
                let at = text.rfind(' ').expect("a signature") + 20;
                flipped(&text, at)
            }),
            "does not fit the checkpoint",
        ),
        (
            "root",
            "/v1/log/proof/",
            Box::new(|text| {
                let begin = text.find("\n\n").expect("a note") + 2;
                let at = begin + text[begin..].lines().take(2).map(|line| line.len() + 1).sum::<usize>();
                flipped(&text, at)
            }),
            "leads to another root",
        ),
        ("key", "/v1/log/key", Box::new(|text| text.replacen("ephor.invalid/", "ephor.invalid/x", 1)), "does not belong to its name"),
    ];
    for (what, which, change, says) in cases {
        let change = std::sync::Arc::new(change);
        let address = changed(&ephor, which, move |text| change(text));
        browser.open(&format!("http://{address}/event/{denied}?lang=en")).await;
        let (state, said) = verify(&browser).await;
        assert_eq!(state, "refuted", "{what}: {said}");
        assert!(said.contains("Does not fit") && said.contains(says), "{what}: {said}");
        let bad = browser.value("document.querySelectorAll('.proof-step.bad').length").await;
        assert_eq!(bad, 1, "{what}: the step that does not fit is marked");
    }
    // Both the page and what it fetches: then the way leads elsewhere.
    let forged = |text: String| text.replace(LISTED, "LANTERN").replace("CIGAR", "LANTERN");
    let address = changed(&ephor, "/event/", forged);
    browser.open(&format!("http://{address}/event/{denied}?lang=zh")).await;
    let (state, said) = verify(&browser).await;
    assert!(state == "refuted" && said.contains("路径通向另一个根"), "{said}");
    // A server that gives nothing has proved nothing, and nothing is refuted.
    let address = changed(&ephor, "/v1/log/proof/", |_| String::new());
    browser.open(&format!("http://{address}/event/{denied}?lang=en")).await;
    assert_eq!(verify(&browser).await.0, "refuted");
}

/// The script of the page against the cases that the tree itself is held against.
#[tokio::test(flavor = "multi_thread")]
async fn the_browsers_proofs_hold_against_the_vectors_of_others() {
    let Some(browser) = Browser::start().await else { return };
    let (ephor, _) = server("").await;
    browser.open(&ephor.url("/")).await;
    let vectors = std::fs::read_to_string(workspace().join("runtime/src/ledger/tree/vectors.ndjson")).expect("the vectors");
    let cases: Vec<Value> = vectors.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    // Numbers of 64 bits do not pass through JSON in a browser.
    let spelt = |case: &Value| {
        let mut case = case.clone();
        for (_, value) in case.as_object_mut().expect("an object") {
            if let Some(number) = value.as_u64() {
                *value = json!(number.to_string());
            }
        }
        case
    };
    let cases: Vec<Value> = cases.iter().map(spelt).collect();
    let script = r"
        const [cases, done] = arguments;
        const bytes = (text) => Uint8Array.from(atob(text ?? ''), (char) => char.charCodeAt(0));
        import('/static/merkle.js').then(async (merkle) => {
            const wrong = [];
            for (const one of cases) {
                const path = (one.proof ?? []).map(bytes);
                let holds = true;
                try {
                    if (one.kind === 'inclusion') {
                        await merkle.verifyInclusion(bytes(one.leafHash), BigInt(one.leafIdx), BigInt(one.treeSize), path, bytes(one.root));
                    } else {
                        await merkle.verifyConsistency(BigInt(one.size1), BigInt(one.size2), bytes(one.root1), bytes(one.root2), path);
                    }
                } catch (error) {
                    if (!(error instanceof merkle.Unproven)) throw error;
                    holds = false;
                }
                if (holds === one.wantErr) wrong.push(one.file);
            }
            return wrong;
        }).then((wrong) => done({ wrong }), (error) => done({ error: String(error) }));
    ";
    assert_eq!(cases.len(), 196);
    let said = browser.client().execute_async(script, vec![json!(cases)]).await.expect("the script runs");
    assert_eq!(said, json!({ "wrong": [] }));
    browser.is_quiet(ephor.address());
}

/// Pictures of the view, which people look at, and what a program sees in it.
#[tokio::test(flavor = "multi_thread")]
async fn the_view_of_an_entry_is_for_everybody() {
    let Some(mut browser) = Browser::start().await else { return };
    let (ephor, [denied, _, broken]) = server(FULL).await;
    for (language, theme, window, size) in [
        ("en", "light", "desktop", DESKTOP),
        ("zh", "dark", "desktop", DESKTOP),
        ("zh", "light", "phone", PHONE),
        ("en", "dark", "phone", PHONE),
    ] {
        browser.resize(size);
        browser.open(&ephor.url(&format!("/event/{denied}?lang={language}&theme={theme}"))).await;
        assert_eq!(verify(&browser).await.0, "verified");
        browser.value("document.querySelectorAll('details').forEach((part) => { part.open = true; })").await;
        browser.screenshot(&format!("event-{window}-{theme}-{language}")).await;
        browser.is_within_its_window(&format!("{window} {language}")).await;
        browser.is_accessible(&format!("an entry, {window}, {theme}, {language}")).await;
    }
    browser.resize(DESKTOP);
    for (name, path) in [
        ("fault", format!("/event/{broken}?lang=en&theme=light")),
        ("other", "/event/2?lang=en".into()),
        ("unknown", "/event/99999?lang=en".into()),
    ] {
        browser.open(&ephor.url(&path)).await;
        browser.screenshot(&format!("event-{name}")).await;
        browser.is_accessible(&format!("an entry, {name}")).await;
    }
    // By keys alone: the button is reached, and pressed by Enter; what came of it is said.
    browser.open(&ephor.url(&format!("/event/{denied}?lang=en"))).await;
    let button = browser.client().find(Locator::Css("#proof button[type=submit]")).await.expect("a button");
    button.send_keys("\u{e007}").await.expect("a key");
    browser.wait_until("it is verified", "document.querySelector('.proof-outcome').dataset.state === 'verified'").await;
    assert_eq!(browser.value("document.querySelector('.proof-outcome').getAttribute('role')").await, "status");
    assert_eq!(browser.value("document.activeElement.type").await, "submit", "the focus stays where it was");
}
