//! The view of back-tests, without a script and in a browser.

use ephor_tests::browser::{Browser, DESKTOP, PHONE};
use ephor_tests::client::LINES;
use ephor_tests::data::{self, Set};
use ephor_tests::raw::{Raw, RawAnswer};
use ephor_tests::{Ephor, policy, raw, settings};
use serde_json::Value;

use crate::GOOD;
use crate::replay::with_one_word_more;

const FULL: &str = "[ledger]\nevents = \"full\"\n";

/// A server that has judged many invoice lines, and keeps them.
async fn server(lines: usize) -> Ephor {
    server_with(FULL, lines).await
}

async fn server_with(config: &str, lines: usize) -> Ephor {
    let ephor = Ephor::start_with(config, &[]);
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    ephor.post(LINES, data::sample(Set::Retail)[..lines].join("\n")).await.succeeded();
    ephor
}

/// A policy in force, as the form names its release.
pub async fn release(ephor: &Ephor) -> String {
    format!("{GOOD}|{}", ephor.in_force().await.iter().find(|(name, _)| name == GOOD).expect("in force").1)
}

/// What a browser sends for a form, from a page of this origin.
pub fn send(ephor: &Ephor, path: &str, origin: &str, fields: &[(&str, &str)]) -> RawAnswer {
    let body: String = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&");
    let mut raw = Raw::connect(ephor.address());
    raw.write(format!(
        "POST {path} HTTP/1.1\r\nhost: {}\r\norigin: {origin}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        ephor.address(),
        body.len()
    ));
    raw.read().expect("an answer")
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_begins_a_back_test_without_any_script() {
    let ephor = server(2_000).await;
    let (own, release) = (ephor.url("").trim_end_matches('/').to_string(), release(&ephor).await);
    let later = with_one_word_more();
    let fields = [("release", release.as_str()), ("against", "recorded"), ("settings", &later), ("by", "an analyst"), ("warm_up", "true")];
    let begun = send(&ephor, "/backtests", &own, &fields);
    assert_eq!((begun.status, begun.header("location")), (303, "/backtests/1"), "{}", begun.text());
    ephor.wait_until("it is done", || raw::get(ephor.address(), "/v1/backtests/1").json()["state"] == "done");
    let page = raw::get(ephor.address(), "/backtests/1").text();
    for said in
        ["Judged with ", "of 2,000 events", "an analyst", "Findings new", "<svg", "LANTERN", "/v1/backtests/1/differences?format=csv"]
    {
        assert!(page.contains(said), "{said} in {page}");
    }
    let plot = raw::get(ephor.address(), "/plots/backtest.svg?id=1");
    assert!(plot.status == 200 && plot.text().contains("xmlns=") && !plot.text().contains("var("));
    let list = raw::get(ephor.address(), "/backtests").text();
    assert!(list.contains("href=\"/backtests/1\"") && list.contains("of 2,000 events"), "{list}");

    // What is wrong is said above the form, which is as it was.
    let wrong = send(&ephor, "/backtests", &own, &[("release", &release), ("from", "some day"), ("by", "an analyst")]);
    assert!(wrong.status == 400 && wrong.text().contains("neither a sequence nor a time") && wrong.text().contains("value=\"some day\""));
    let nobody = send(&ephor, "/backtests", &own, &[("release", &release)]);
    assert!(nobody.status == 400 && nobody.text().contains("Say in `by`"), "{}", nobody.text());
    // A form of another site does nothing.
    for origin in ["http://example.org", "null", ""] {
        assert_eq!(send(&ephor, "/backtests", origin, &fields).status, 403, "{origin}");
    }
    assert_eq!(raw::get(ephor.address(), "/backtests/2").status, 404);
    // Deleted, it is gone.
    assert_eq!(send(&ephor, "/backtests/1", &own, &[]).status, 303);
    assert_eq!(raw::get(ephor.address(), "/backtests/1").status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kept_events_the_view_says_what_to_do() {
    let ephor = crate::with_good_policy("").await;
    let page = raw::get(ephor.address(), "/backtests").text();
    assert!(
        page.contains("No events are kept here") && page.contains("events = &quot;full&quot;") && !page.contains("<form class=\"asking\"")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_test_is_asked_for_watched_and_read_in_a_browser() {
    let Some(mut browser) = Browser::start().await else { return };
    let ephor = server(data::sample(Set::Retail).len()).await;
    browser.open(&ephor.url("/backtests")).await;
    browser.screenshot("backtests-empty").await;
    let filled = format!(
        "(() => {{ const form = document.querySelector('form.asking'); form.settings.value = {}; form.by.value = 'an analyst'; form.reason.value = 'one word more'; return true; }})()",
        Value::from(with_one_word_more())
    );
    assert_eq!(browser.value(&filled).await, true);
    browser.click("form.asking button.primary").await;
    browser.wait_until("the view of it is there", "location.pathname === '/backtests/1'").await;
    // By itself, from the first event to the result.
    browser.wait_until("the result is there", "document.querySelector('.backtest-says') !== null").await;
    let says = browser.text(".backtest-says .says").await;
    assert!(says.contains("would be other") && says.contains("findings new"), "{says}");
    assert_eq!(browser.value("document.querySelectorAll('#over-time svg.wide rect').length > 20").await, true);
    assert_eq!(browser.value("document.querySelector('#examples a[href^=\"/event/\"]') !== null").await, true);
    browser.is_accessible("a back-test").await;
    for (name, language, scheme, size) in [
        ("backtest", "en", "light", DESKTOP),
        ("backtest-dark", "en", "dark", DESKTOP),
        ("backtest-zh", "zh", "light", DESKTOP),
        ("backtest-narrow", "en", "light", PHONE),
    ] {
        browser.prefer(scheme);
        browser.resize(size);
        browser.open(&ephor.url(&format!("/backtests/1?lang={language}"))).await;
        browser.is_within_its_window(name).await;
        browser.screenshot(name).await;
        browser.open(&ephor.url(&format!("/backtests?lang={language}"))).await;
        browser.is_accessible(&format!("{name}, the list")).await;
        browser.screenshot(&format!("{name}-list")).await;
    }
    browser.resize(DESKTOP);
    browser.open(&ephor.url("/backtests/1?lang=zh")).await;
    assert!(browser.text(".backtest-says .says").await.contains("结果不同"));
    browser.is_accessible("a back-test in Chinese").await;
    browser.is_quiet(ephor.address());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_runs_is_watched_and_cancelled() {
    let Some(mut browser) = Browser::start().await else { return };
    let ephor = server_with(&format!("{FULL}[backtests]\nwaiting-max = 100\n"), data::sample(Set::Retail).len()).await;
    // Those before keep the last one waiting for longer than a browser takes.
    let last = 80;
    for _ in 0..last {
        let request = serde_json::json!({"policy": GOOD, "by": "an analyst"});
        ephor.act("/v1/backtests", request.to_string()).await.expect(202);
    }
    browser.open(&ephor.url(&format!("/backtests/{last}"))).await;
    browser.screenshot("backtest-waiting").await;
    browser.click("#progress button").await;
    browser.wait_until("it is cancelled", "document.querySelector('#state .cancelled') !== null").await;
    browser.screenshot("backtest-cancelled").await;
    browser.is_accessible("one that was cancelled").await;
    browser.is_quiet(ephor.address());
}
