//! The view of a subject, and the search for one.

use ephor_tests::browser::{Browser, DESKTOP, PHONE};
use ephor_tests::data::{self, Set};
use ephor_tests::{Ephor, event, policy, raw, settings};
use fantoccini::Locator;
use serde_json::{Value, json};

use crate::{GOOD, LISTED};

const ODD: &str = "müller & söhne <b>/?#%";

/// A server with a merchant that was found several times, and the sample of a shop.
async fn server() -> Ephor {
    let ephor = Ephor::start(&[]);
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    let found = |id: u64| {
        let mut event = event::listing(id, LISTED);
        event["subject"] = json!("merchant-7");
        event["time"] = json!(format!("2026-01-{:02}T03:04:05Z", 1 + id));
        event
    };
    let mut events: Vec<Value> = (0..28).map(found).collect();
    let mut odd = found(27);
    odd["id"] = json!("odd");
    odd["subject"] = json!(ODD);
    let mut broken = found(27);
    broken["id"] = json!("broken");
    broken["data"] = json!({"description": 7});
    events.extend([odd, broken]);
    ephor.judge(events).await;
    let lines = data::sample(Set::Retail).into_iter().take(1_000).collect::<Vec<_>>().join("\n");
    ephor.post("application/x-ndjson", lines).await.succeeded();
    ephor.wait_until("everything is counted", || {
        let page = raw::get(ephor.address(), "/subject?source=%2Ftests&subject=merchant-7");
        page.status == 200 && page.text().matches("badge deny").count() > 28
    });
    ephor
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_is_found_and_what_was_found_about_it() {
    let ephor = server().await;
    let page = |path: &str| raw::get(ephor.address(), path);
    let one = page("/subject?source=%2Ftests&subject=merchant-7").text();
    for said in
        ["merchant-7", " 28<", "listed-word", "Events about which nothing was found are not counted here", "negative-list gave no answer"]
    {
        assert!(one.contains(said), "{said:?} is missing in\n{one}");
    }
    let chinese = page("/subject?source=%2Ftests&subject=merchant-7&lang=zh").text();
    assert!(chinese.contains("没有发现的事件不在此计数"), "{chinese}");
    let list = page("/subjects?q=merchant").text();
    assert!(list.contains("/subject?source=%2Ftests&amp;subject=merchant-7") && list.contains("1 known subjects begin"), "{list}");
    assert!(page("/subjects?q=Merchant").text().contains("No known subject begins so"));
    let odd = page("/subjects?q=m%C3%BCller").text();
    let link = odd.split("href=\"/subject?").nth(1).and_then(|rest| rest.split('"').next()).expect("a link").replace("&amp;", "&");
    let found = page(&format!("/subject?{link}"));
    assert_eq!(found.status, 200, "{link}");
    assert!(found.text().contains("müller &amp; söhne &lt;b&gt;/?#%"), "{}", found.text());
    let plot = page("/plots/subject.svg?source=%2Ftests&subject=merchant-7");
    assert_eq!((plot.status, plot.header("content-type")), (200, "image/svg+xml"));
    assert!(plot.text().contains("#CF3546"), "what was denied is drawn");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_that_is_not_known_is_a_page_with_what_to_do() {
    let ephor = server().await;
    let long = "x".repeat(5_000);
    for (path, status, says) in [
        ("/subject?source=%2Ftests&subject=nobody".to_string(), 404, "Nothing is known of “nobody”"),
        ("/subject?source=%2Fother&subject=merchant-7".into(), 404, "/v1/verdicts?subject=merchant-7"),
        ("/subject?source=%2Ftests".into(), 400, "Say in the address which subject"),
        ("/subject".into(), 400, "Say in the address which subject"),
        (format!("/subject?source=a&subject={long}"), 400, "Say in the address which subject"),
        ("/plots/subject.svg?source=%2Ftests&subject=nobody".into(), 404, "Not found"),
    ] {
        let answer = raw::get(ephor.address(), &path);
        assert_eq!(answer.status, status, "{path:.60}");
        assert!(answer.text().contains(says), "{path:.60}: {says:?} is missing in\n{}", answer.text());
    }
    let none = Ephor::start(&["--in-memory"]);
    assert_eq!(raw::get(none.address(), "/subjects").status, 404);
}

/// Pictures of the views, which people look at, and what a program sees in them.
#[tokio::test(flavor = "multi_thread")]
async fn the_views_of_subjects_are_for_everybody() {
    let Some(mut browser) = Browser::start().await else { return };
    let ephor = server().await;
    for (language, theme, window, size) in
        [("en", "light", "desktop", DESKTOP), ("zh", "dark", "desktop", DESKTOP), ("zh", "light", "phone", PHONE)]
    {
        browser.resize(size);
        for (name, path) in [("subject", "/subject?source=%2Ftests&subject=merchant-7&"), ("subjects", "/subjects?")] {
            browser.open(&ephor.url(&format!("{path}lang={language}&theme={theme}"))).await;
            browser.screenshot(&format!("{name}-{window}-{theme}-{language}")).await;
            browser.is_within_its_window(&format!("{name} {window} {language}")).await;
            browser.is_accessible(&format!("{name}, {window}, {theme}, {language}")).await;
        }
    }
    // The search, as somebody types it.
    browser.open(&ephor.url("/subjects?lang=en")).await;
    let field = browser.client().find(Locator::Css("form.search input")).await.expect("a field");
    field.send_keys("merch\u{e007}").await.expect("keys");
    browser.wait_until("it is found", "document.querySelector('td, tbody th')?.textContent.includes('merchant-7') ?? false").await;
    browser.click("tbody th a").await;
    browser.wait_until("the subject is shown", "document.querySelector('h1').textContent === 'merchant-7'").await;
    browser.is_quiet(ephor.address());
}
