//! The views of policies: of one in development, and of one that a publisher has signed
//! and tries out.

use ephor_tests::browser::{Browser, DESKTOP, PHONE};
use ephor_tests::data::{self, Set};
use ephor_tests::{Ephor, event, policy, raw, settings};
use serde_json::{Value, json};

use crate::publishers::{Both, look, words};
use crate::{GOOD, LISTED};

const PUBLISHED: &str = "market-office/negative-list";

/// Begins in shadow, and counts once it has judged an event.
const GATE: &str = "begin = \"shadow\"\ngate = { events-min = 1, p99-us-max = 60_000_000, core-share-max = 1000.0 }";

/// A server with a policy of development that was swapped once, and with what it found.
async fn server() -> Ephor {
    let ephor = Ephor::start(&[]);
    ephor.put(GOOD, &policy(GOOD), &words(&["WINE"]).to_string()).await.succeeded();
    ephor.judge((0..5).map(|id| event::listing(id, "WINE GLASS"))).await;
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    let lines = data::sample(Set::Retail).into_iter().take(2_000).collect::<Vec<_>>().join("\n");
    ephor.post("application/x-ndjson", lines).await.succeeded();
    let mut broken = event::listing("broken", "");
    broken["data"] = json!({"description": 7});
    ephor.judge([broken]).await;
    counted(&ephor, GOOD).await;
    ephor
}

/// Waits until the page has counted the last entry, which a policy failed to judge.
async fn counted(ephor: &Ephor, name: &str) {
    let path = format!("/policy/{name}");
    ephor.wait_until("everything is counted", || raw::get(ephor.address(), &path).text().contains("<code>unreadable</code>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_says_what_it_is_in_prose_and_law_and_what_it_has_done() {
    let ephor = server().await;
    let page = |path: &str| raw::get(ephor.address(), path);
    let view = ephor.get(&format!("/v1/policies/{GOOD}")).await.expect(200).json();
    let english = page(&format!("/policy/{GOOD}")).text();
    let release = event::text(&view, "release");
    let clause = event::text(&view["rules"][0], "legal_basis").replace('&', "&amp;");
    for said in [
        event::text(&view, "summary"),
        &clause,
        release,
        "/data/description",
        "Put in force",
        "in the place of",
        "listed-word",
        "Not signed",
        "Time per event",
    ] {
        assert!(english.contains(said), "{said:?} is missing in\n{english}");
    }
    assert!(english.contains("class=\"swap\""), "the swap is marked");
    let chinese = page(&format!("/policy/{GOOD}?lang=zh")).text();
    for said in ["已生效", "版本的时间线", "它看到事件的哪些内容"] {
        assert!(chinese.contains(said), "{said:?} is missing in\n{chinese}");
    }
    let plot = page(&format!("/plots/findings.svg?policy={GOOD}&period=hour"));
    assert!(plot.status == 200 && plot.text().contains("listed-word"), "{}", plot.text());
    let list = page("/policies").text();
    assert!(list.contains(&format!("href=\"/policy/{GOOD}\"")), "{list}");
    let unknown = page("/policy/nobody/nothing");
    assert!(unknown.status == 404 && unknown.text().contains("Nothing is known here of a policy with this name"));
    assert!(unknown.text().contains(&format!("href=\"/policy/{GOOD}\"")), "those that there are");
    // Out of force it is still there, with what became of it.
    ephor.remove(GOOD).await.succeeded();
    ephor.wait_until("the change is counted", || page(&format!("/policy/{GOOD}")).text().contains("Removed"));
    assert!(page(&format!("/policy/{GOOD}")).text().contains("Not in force any more."));
}

/// One release that is in force, and one in shadow that says something else.
async fn published(both: &Both) -> Ephor {
    both.release(GOOD, "1.0.0", &words(&["KNIFE"]), &[]);
    let ephor = Ephor::start_in(&both.path("data"), &both.config(3_600, GATE), &[]);
    let acted = json!({"by": "operator", "to": "enforce"});
    // Its gate asks for more than it has shown: what is missing is seen first.
    let text = raw::get(ephor.address(), &format!("/policy/{PUBLISHED}")).text();
    assert!(text.contains("Before it can be promoted") && text.contains("Being tried out"), "{text}");
    ephor.judge([event::listing("first", "LANTERN")]).await;
    ephor.act(&format!("/v1/releases/{PUBLISHED}/promote"), acted.to_string()).await.succeeded();
    both.release(GOOD, "1.1.0", &words(&["KNIFE", "CIGAR"]), &["--state", "keep"]);
    look(&ephor).await.expect(200);
    let mut events: Vec<Value> = (0..20).map(|id| event::listing(id, if id % 2 == 0 { LISTED } else { "KNIFE" })).collect();
    let mut broken = event::listing("broken", "");
    broken["data"] = json!({"description": 7});
    events.push(broken);
    ephor.judge(events).await;
    counted(&ephor, PUBLISHED).await;
    ephor
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_policy_shows_what_was_signed_and_how_a_trial_differs() {
    let both = Both::with(&[]);
    let ephor = published(&both).await;
    let text = raw::get(ephor.address(), &format!("/policy/{PUBLISHED}")).text();
    for said in [
        "E-Commerce Law, article 13",
        "In force; another release is being tried out.",
        "It says something else on 10 of 21 events",
        "Its publisher",
        "Promoted",
        "by operator",
    ] {
        assert!(text.contains(said), "{said:?} is missing in\n{text}");
    }
    let Some(mut browser) = Browser::start().await else { return };
    browser.open(&ephor.url(&format!("/policy/{PUBLISHED}?lang=en&theme=light"))).await;
    browser.screenshot("policy-published").await;
    browser.is_accessible("a published policy").await;
    browser.is_quiet(ephor.address());
}

/// Pictures of the views, which people look at, and what a program sees in them.
#[tokio::test(flavor = "multi_thread")]
async fn the_views_of_policies_are_for_everybody() {
    let Some(mut browser) = Browser::start().await else { return };
    let ephor = server().await;
    for (language, theme, window, size) in
        [("en", "light", "desktop", DESKTOP), ("zh", "dark", "desktop", DESKTOP), ("zh", "light", "phone", PHONE)]
    {
        browser.resize(size);
        for (name, path) in
            [("policy", format!("/policy/{GOOD}")), ("policies", "/policies".into()), ("policy-unknown", "/policy/nobody".into())]
        {
            browser.open(&ephor.url(&format!("{path}?lang={language}&theme={theme}"))).await;
            browser.screenshot(&format!("{name}-{window}-{theme}-{language}")).await;
            browser.is_within_its_window(&format!("{name} {window} {language}")).await;
            browser.is_accessible(&format!("{name}, {window}, {theme}, {language}")).await;
        }
    }
    let console = browser.value("location.href").await;
    assert!(console.as_str().is_some_and(|url| url.starts_with("http://127.0.0.1")), "{console}");
}
