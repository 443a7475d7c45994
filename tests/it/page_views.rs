//! Every view of the page, one after the other: what each answer says to a browser, that
//! Chinese is Chinese throughout, and what people see, on servers with much to show and
//! with nothing.

use std::collections::{BTreeMap, BTreeSet};

use ephor_tests::browser::{Browser, DESKTOP, PHONE};
use ephor_tests::client::LINES;
use ephor_tests::data::{self, Set};
use ephor_tests::{Ephor, event, policy, raw, settings, workspace};
use serde_json::json;

use crate::page_backtest::{release, send};
use crate::replay::with_one_word_more;
use crate::{GOOD, LISTED};

const FENCE: &str = "geofence";

const FULL: &str = "[ledger]\nevents = \"full\"\n";

/// A view: its name for pictures, its path, and the status of its answer.
type View = (&'static str, String, u16);

/// A server with something in every view.
async fn server() -> (Ephor, Vec<View>) {
    let ephor = Ephor::start_with(FULL, &[]);
    for name in [GOOD, FENCE] {
        ephor.put(name, &policy(name), &settings(name)).await.succeeded();
    }
    ephor.post(LINES, data::sample(Set::Retail)[..3_000].join("\n")).await.succeeded();
    ephor.post(LINES, data::sample(Set::Columbus).join("\n")).await.succeeded();
    let mut denied = event::listing("denied", LISTED);
    denied["subject"] = json!("merchant-7");
    // As long as it may be, and without a place to break.
    let mut long = event::listing("long", LISTED);
    long["subject"] = json!("m".repeat(200));
    long["source"] = json!(format!("/{}", "platform".repeat(20)));
    let mut broken = event::listing("broken", "");
    broken["data"] = json!({"description": 7});
    let answers = ephor.judge([denied, long, broken]).await;
    let [denied, long, broken] = [0, 1, 2].map(|at| event::sequence(&answers[at]));
    let (own, release, later) = (ephor.url("").trim_end_matches('/').to_string(), release(&ephor).await, with_one_word_more());
    let asked = [("release", release.as_str()), ("against", "recorded"), ("settings", &later), ("by", "an analyst"), ("warm_up", "true")];
    assert_eq!(send(&ephor, "/backtests", &own, &asked).status, 303);
    ephor.wait_until("the back-test is done", || raw::get(ephor.address(), "/backtests/1").text().contains("backtest-says"));
    ephor.wait_until("everything is counted", || {
        raw::get(ephor.address(), &format!("/policy/{GOOD}")).text().contains("<code>unreadable</code>")
            && raw::get(ephor.address(), &format!("/event/{broken}")).text().contains("id=\"proof\"")
    });
    let views = vec![
        ("home", "/".to_string(), 200),
        ("entries", "/event".into(), 200),
        ("entry", format!("/event/{denied}"), 200),
        ("entry-long", format!("/event/{long}"), 200),
        ("entry-undetermined", format!("/event/{broken}"), 200),
        ("entry-change", "/event/2".into(), 200),
        ("entry-none", "/event/99999".into(), 404),
        ("policies", "/policies".into(), 200),
        ("policy", format!("/policy/{GOOD}"), 200),
        ("policy-none", "/policy/nobody".into(), 404),
        ("subjects", "/subjects".into(), 200),
        ("subject", "/subject?source=%2Ftests&subject=merchant-7".into(), 200),
        ("subject-none", "/subject?source=a&subject=b".into(), 404),
        ("backtests", "/backtests".into(), 200),
        ("backtest", "/backtests/1".into(), 200),
        ("backtest-none", "/backtests/99".into(), 404),
        ("map", "/map".into(), 200),
    ];
    (ephor, views)
}

/// Servers with nothing to show: without an event, and without a policy and a ledger.
fn empty() -> [(&'static str, Ephor); 2] {
    [("new", Ephor::start_with(FULL, &[])), ("in-memory", Ephor::start(&["--in-memory"]))]
}

/// The views that a server with nothing has.
fn views_of_nothing() -> Vec<View> {
    let named = |(name, path): (&'static str, &str)| (name, path.to_string(), 0);
    [
        ("home", "/"),
        ("entries", "/event"),
        ("policies", "/policies"),
        ("subjects", "/subjects"),
        ("backtests", "/backtests"),
        ("map", "/map"),
    ]
    .map(named)
    .to_vec()
}

/// An address with more in its query.
fn with(path: &str, more: &str) -> String {
    format!("{path}{}{more}", if path.contains('?') { '&' } else { '?' })
}

/// Texts of the page in a language, by section and name.
fn texts(language: &str) -> BTreeMap<String, String> {
    let file = workspace().join(format!("runtime/src/server/page/texts/{language}.toml"));
    let file = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut texts = BTreeMap::new();
    let mut section = "";
    for line in file.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((name, text)) = line.split_once(" = ") {
            // Strings are as in JSON.
            texts.insert(format!("{section}.{}", name.trim_matches('"')), serde_json::from_str(text).expect("a string"));
        }
    }
    texts
}

/// What people read or hear of markup, but for what it says is in English, and code.
fn read(markup: &str) -> Vec<String> {
    const VOID: [&str; 6] = ["meta", "link", "input", "br", "hr", "wbr"];
    let mut read = Vec::new();
    // For each open element whether what is in it is left out.
    let mut open: Vec<bool> = Vec::new();
    for part in markup.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag has an end");
        let name = tag.split(|c: char| c.is_whitespace() || c == '/').find(|name| !name.is_empty()).unwrap_or_default();
        if tag.starts_with('/') {
            open.pop();
        } else if !tag.starts_with('!') {
            let is_left_out =
                *open.last().unwrap_or(&false) || ["code", "pre", "script", "textarea"].contains(&name) || tag.contains(" lang=\"en\"");
            if !is_left_out {
                let named = ["title", "aria-label", "placeholder", "alt", "data-is"];
                let values = named.iter().filter_map(|name| tag.split_once(&format!(" {name}=\""))?.1.split('"').next());
                read.extend(values.map(str::to_string));
            }
            if !VOID.contains(&name) && !tag.ends_with('/') {
                open.push(is_left_out);
            }
        }
        if !open.last().unwrap_or(&false) {
            read.push(text.trim().to_string());
        }
    }
    assert!(open.is_empty(), "every element is closed");
    read.retain(|text| !text.is_empty());
    read
}

/// English texts, whole or between two places of values, that Chinese says otherwise.
fn english() -> BTreeSet<String> {
    let parts = |text: &String| {
        let text = text.replace('"', "&quot;");
        text.split(['{', '}']).step_by(2).map(|part| part.trim().to_string()).collect::<Vec<_>>()
    };
    let mut english: BTreeSet<String> = texts("en").values().flat_map(parts).collect();
    for same in texts("zh").values().flat_map(parts) {
        english.remove(&same);
    }
    english.retain(|part| part.chars().filter(|c| c.is_alphabetic()).count() > 2);
    english
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_is_in_the_viewers_language_and_says_what_a_browser_must_forbid() {
    let (full, views) = server().await;
    let english = english();
    assert!(english.contains("How blind are we?") && english.contains("Policy"), "texts are read");
    let look = |ephor: &Ephor, views: &[View]| {
        for (_, path, status) in views {
            let path = with(path, "lang=zh");
            let answer = raw::get(ephor.address(), &path);
            assert!(*status == 0 || answer.status == *status, "{path}: {}", answer.status);
            let policy = answer.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"), "{path}: {policy}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            let markup = answer.text();
            assert!(markup.contains("<html lang=\"zh-Hans\""), "{path}");
            let read = read(&markup);
            assert!(read.iter().any(|text| text == "总览"), "{path} is read");
            for text in &read {
                let is_long = |part: &str| part.len() > 11 && part.contains(' ');
                let found = english.iter().find(|part| text == *part || is_long(part) && text.contains(&***part));
                assert!(found.is_none(), "{path} says in Chinese: {text:?}, which is {found:?}");
            }
        }
    };
    look(&full, &views);
    for (_, ephor) in empty() {
        look(&ephor, &views_of_nothing());
    }
    let docs = raw::get(full.address(), "/v1/docs");
    assert!(docs.header("content-security-policy").starts_with("default-src 'none'; style-src 'sha256-"));
    // From every view there is a way to every other.
    for (_, path, _) in &views {
        let markup = raw::get(full.address(), path).text();
        for target in ["/", "/event", "/policies", "/subjects", "/backtests", "/map", "/v1/docs"] {
            assert!(markup.contains(&format!("href=\"{target}\"")), "{path} leads to {target}");
        }
        let active = markup.matches("aria-current=\"page\"").count();
        assert!(active == 1 || path.ends_with("/99") && active == 0, "{path}: {active} tabs are marked");
    }
}

/// The one figure, in words, with why.
#[tokio::test(flavor = "multi_thread")]
async fn how_blind_we_are_stands_on_the_first_page() {
    let ephor = Ephor::start(&[]);
    let part = |address: &str| {
        let text = raw::get(ephor.address(), address).text();
        let begin = text.find("<section class=\"card\" id=\"blind\"").expect("the part");
        text[begin..].split("</section>").next().expect("an end").to_string()
    };
    assert!(part("/").contains("there was nothing to see.</strong>"), "{}", part("/"));
    ephor.judge([event::listing("early", "LANTERN")]).await;
    let nobody = part("/");
    assert!(nobody.contains("No policy was in force, and everything was let through (1 time in "), "{nobody}");
    assert!(nobody.contains("1 of 1 event (100.0%)"), "{nobody}");
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    let mut broken = event::listing("broken", "");
    broken["data"] = json!({"description": 7});
    ephor.judge([broken, event::listing("good", "LANTERN")]).await;
    let failed = part("/");
    assert!(failed.contains("href=\"/policy/negative-list\"") && failed.contains("it was asked, and did not answer (1 time"), "{failed}");
    assert!(failed.contains("2 of 3 events (66.7%)") && failed.contains("Blind for "), "{failed}");
    assert!(raw::get(ephor.address(), "/").text().contains("class=\"card headline uncertain\""), "the headline has it too");
    let chinese = part("/?lang=zh");
    assert!(chinese.contains("我们有多少看不见？") && chinese.contains("被询问，但未作答"), "{chinese}");
}

/// Pictures of every view, which people look at, and what a program sees in them.
#[tokio::test(flavor = "multi_thread")]
async fn every_view_is_for_everybody() {
    let Some(mut browser) = Browser::start().await else { return };
    let (full, mut views) = server().await;
    views.push(("docs", "/v1/docs".into(), 200));
    for (window, language, theme, size) in [
        ("desktop", "en", "light", DESKTOP),
        ("desktop", "en", "dark", DESKTOP),
        ("desktop", "zh", "light", DESKTOP),
        ("phone", "en", "light", PHONE),
    ] {
        browser.resize(size);
        browser.prefer(theme);
        for (name, path, _) in &views {
            let path = if *name == "docs" { path.clone() } else { with(path, &format!("lang={language}")) };
            if *name == "docs" && language == "zh" {
                continue;
            }
            look(&mut browser, &full.url(&path), &format!("view-{name}-{window}-{theme}-{language}")).await;
        }
    }
    browser.resize(DESKTOP);
    browser.prefer("light");
    for (which, ephor) in empty() {
        for (name, path, _) in views_of_nothing() {
            look(&mut browser, &ephor.url(&with(&path, "lang=en")), &format!("{which}-{name}")).await;
        }
    }
}

async fn look(browser: &mut Browser, url: &str, name: &str) {
    browser.open(url).await;
    browser.screenshot(name).await;
    browser.is_within_its_window(name).await;
    browser.is_accessible(name).await;
}
