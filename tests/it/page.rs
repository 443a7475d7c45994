//! The page for people: what it says without a browser, and what people see with one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ephor_tests::browser::{Browser, DESKTOP, PHONE, ZONE};
use ephor_tests::data::{self, Set};
use ephor_tests::{Ephor, event, policy, raw, settings};
use fantoccini::key::Key;
use serde_json::{Value, json};

use crate::{GOOD, LISTED};

const FENCE: &str = "geofence";

/// A server with two policies, of which each finds something, and one event that cannot
/// be judged.
async fn server() -> Ephor {
    let ephor = Ephor::start(&[]);
    for name in [GOOD, FENCE] {
        ephor.put(name, &policy(name), &settings(name)).await.succeeded();
    }
    ephor
}

/// Sends some events: allowed, denied, undetermined, and those of a fleet.
async fn with_events(ephor: &Ephor) {
    let mut events: Vec<Value> = (0..40).map(|id| event::listing(id, if id % 8 == 0 { LISTED } else { "WINE GLASS" })).collect();
    let mut broken = event::listing("broken", "");
    broken["data"] = json!({"description": 7});
    events.push(broken);
    ephor.judge(events).await;
    let fleet = data::sample(Set::Columbus).into_iter().take(2_000).collect::<Vec<_>>().join("\n");
    ephor.post("application/x-ndjson", fleet).await.succeeded();
    counted(ephor).await;
}

/// Waits until the page has counted everything that is in the ledger.
async fn counted(ephor: &Ephor) {
    let entries = ephor.status().await["entries"].as_u64().expect("a number of entries");
    let events = |page: &str| -> u64 {
        let figure = page.split("<span class=\"value\">").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default();
        figure.trim().replace(',', "").parse().unwrap_or_default()
    };
    // Changes of policies are entries and no events.
    let changes = 3;
    ephor.wait_until("everything is counted", || events(&raw::get(ephor.address(), "/").text()) + changes >= entries);
}

/// Gets the page with further lines of a header.
fn page(ephor: &Ephor, path: &str, header: &str) -> raw::RawAnswer {
    let mut raw = raw::Raw::connect(ephor.address());
    raw.write(format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{header}connection: close\r\n\r\n", ephor.address()));
    raw.read().expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_the_page_says_what_a_browser_must_forbid() {
    let ephor = server().await;
    with_events(&ephor).await;
    let paths = [
        ("/", 200),
        ("/?lang=zh&verdict=deny", 200),
        ("/static/style.css", 200),
        ("/static/feed.js", 200),
        ("/static/none.js", 404),
        ("/plots/verdicts.svg?period=day", 200),
        ("/plots/none.svg", 404),
    ];
    for (path, status) in paths {
        let answer = page(&ephor, path, "");
        assert_eq!(answer.status, status, "{path}");
        let policy = answer.header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{path}");
        // What the policy forbids is not there in the first place.
        let text = answer.text();
        if answer.header("content-type").starts_with("text/html") {
            assert!(!text.contains(" style=") && !text.contains("<style") && !text.contains(" onclick"), "{path}");
            let scripts = text.split("<script").skip(1).map(|rest| rest.split('>').next().unwrap_or_default());
            for script in scripts {
                assert!(script.contains("src=\"/static/") || script.contains("application/json"), "{path}: {script}");
            }
        }
    }
}

#[test]
fn files_are_asked_for_again_and_not_sent_again() {
    let ephor = Ephor::start(&["--in-memory"]);
    let first = page(&ephor, "/static/frame.js", "");
    let tag = first.header("etag").to_string();
    assert!(tag.starts_with('"') && tag.len() == 34, "{tag}");
    let again = page(&ephor, "/static/frame.js", &format!("if-none-match: {tag}\r\n"));
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, tag.as_str()));
    assert_eq!(page(&ephor, "/static/frame.js", "if-none-match: \"other\"\r\n").status, 200);
}

/// What a browser without scripts shows.
#[tokio::test(flavor = "multi_thread")]
async fn figures_and_findings_stand_in_the_markup() {
    let ephor = server().await;
    with_events(&ephor).await;
    let english = page(&ephor, "/", "").text();
    for said in [
        "Are we judging everything?",
        "Yes, but there are things that we do not see.",
        "1 event of the last 24 hours could not",
        "negative-list",
        "geofence",
    ] {
        assert!(english.contains(said), "{said:?} is missing");
    }
    assert!(english.contains("UTC</time>"), "times are in UTC");
    for (path, header) in [("/?lang=zh", ""), ("/", "accept-language: zh-CN,en;q=0.5\r\n"), ("/", "cookie: lang=zh\r\n")] {
        let chinese = page(&ephor, path, header);
        let text = chinese.text();
        assert!(text.contains("lang=\"zh-Hans\"") && text.contains("所有事件都在评判之中吗？"), "{path} {header}");
        assert_eq!(chinese.header("set-cookie").starts_with("lang=zh;"), path.contains("lang"), "{path} {header}");
    }
    // The form of filters works by itself.
    let denied = page(&ephor, "/?verdict=deny", "").text();
    let rows =
        |page: &str| page.split("id=\"feed-rows\"").nth(1).and_then(|rest| rest.split("</tbody>").next()).unwrap_or_default().to_string();
    assert!(rows(&denied).contains("contains the listed word CIGAR"), "what was found is said");
    assert!(rows(&denied).contains("badge deny") && !rows(&denied).contains("badge flag"));
    assert!(
        rows(&page(&ephor, "/?verdict=deny&lang=zh", "").text()).contains("商品描述包含负面清单词语 CIGAR"),
        "in the viewer's language"
    );
    assert!(rows(&page(&ephor, "/?verdict=undetermined", "").text()).contains("failed to answer: unreadable"));
    assert!(!rows(&page(&ephor, "/?subject=nobody", "").text()).contains("<tr"));
    // What is asked with comes back as text.
    let asked = page(&ephor, "/?policy=%3Cscript%3Ealert(1)%3C/script%3E&subject=%22%3E%3Cb%3E", "").text();
    assert!(!asked.contains("<script>alert") && asked.contains("&lt;script&gt;alert") && asked.contains("value=\"&quot;&gt;&lt;b&gt;\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_are_there_again_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let ephor = Ephor::start_in(folder.path(), "", &[]);
    for name in [GOOD, FENCE] {
        ephor.put(name, &policy(name), &settings(name)).await.succeeded();
    }
    with_events(&ephor).await;
    let part = |ephor: &Ephor, id: &str| {
        let text = page(ephor, "/", "").text();
        let begin = text.find(&format!("<section class=\"card\" id=\"{id}\"")).unwrap_or_else(|| panic!("there is a part {id}"));
        text[begin..].split("</section>").next().expect("an end").to_string()
    };
    let (rules, changes) = (part(&ephor, "rules"), part(&ephor, "changes"));
    assert!(rules.contains("listed-word") && changes.contains("Put in force"));
    assert!(ephor.stop().success());
    let again = Ephor::start_in(folder.path(), "", &[]);
    again.wait_until("rules are counted again", || part(&again, "rules") == rules);
    assert_eq!(part(&again, "changes"), changes);
}

#[tokio::test(flavor = "multi_thread")]
async fn plots_are_files_that_stand_for_themselves() {
    let ephor = server().await;
    with_events(&ephor).await;
    for period in ["hour", "day", "week", "quarter"] {
        let plot = page(&ephor, &format!("/plots/verdicts.svg?period={period}"), "");
        assert_eq!(plot.header("content-type"), "image/svg+xml");
        assert!(plot.header("content-disposition").contains("ephor-verdicts.svg"));
        let svg = plot.text();
        assert!(svg.starts_with("<?xml") && svg.trim_end().ends_with("</svg>") && svg.contains("<title>"), "{svg}");
        assert!(!svg.contains("var(") && svg.contains("#CF3546"), "denied events are drawn in their colour");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_on_gets_the_latest_and_how_many_were_left_out() {
    let ephor = server().await;
    with_events(&ephor).await;
    assert_eq!(page(&ephor, "/v1/verdicts?rate=4", "").status, 400, "lines cannot say what was left out");
    assert_eq!(page(&ephor, "/v1/verdicts?rate=1", "accept: text/event-stream\r\n").status, 400);
    let entries = ephor.status().await["entries"].as_u64().expect("a number");
    let mut raw = raw::Raw::connect(ephor.address());
    raw.write(format!("GET /v1/verdicts?rate=4 HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n\r\n", ephor.address()));
    let said = raw.read_through(&format!("event: left-out\ndata: {}\n", entries - 2));
    for sequence in [entries - 1, entries] {
        assert!(said.contains(&format!("id: {sequence}\ndata: {{")), "{said}");
    }
    assert!(!said.contains(&format!("id: {}\ndata: {{", entries - 2)), "{said}");
}

/// Pictures of the view, which people look at, and what a program sees in it.
#[tokio::test(flavor = "multi_thread")]
async fn the_view_is_for_everybody() {
    let Some(mut browser) = Browser::start().await else { return };
    let ephor = server().await;
    with_events(&ephor).await;
    for (language, theme) in [("en", "light"), ("en", "dark"), ("zh", "light"), ("zh", "dark")] {
        for (window, size) in [("desktop", DESKTOP), ("phone", PHONE)] {
            browser.resize(size);
            browser.open(&ephor.url(&format!("/?lang={language}&theme={theme}"))).await;
            browser.wait_until("the feed is live", "document.querySelector('.live-dot.on') !== null").await;
            browser.screenshot(&format!("home-{window}-{theme}-{language}")).await;
            browser.is_within_its_window(&format!("{window} {language}")).await;
            browser.is_accessible(&format!("home, {window}, {theme}, {language}")).await;
        }
    }
    // Remembered, and not in the address.
    browser.resize(DESKTOP);
    browser.open(&ephor.url("/")).await;
    assert_eq!(browser.text("h1").await, "所有事件都在评判之中吗？");
    assert_eq!(browser.value("document.documentElement.dataset.theme").await, "dark");
    // As the system has it.
    browser.click("[data-theme-to=auto]").await;
    for (scheme, ground) in [("light", "rgb(244, 246, 248)"), ("dark", "rgb(15, 21, 27)")] {
        browser.prefer(scheme);
        assert_eq!(browser.value("getComputedStyle(document.body).backgroundColor").await, ground);
    }
    // Times are the viewer's, with UTC on hover.
    browser.open(&ephor.url("/?lang=en")).await;
    let shown = browser.value("document.querySelector('footer time').textContent").await;
    let expected = format!(
        "new Intl.DateTimeFormat('en', {{dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23', timeZone: '{ZONE}'}}).format(new Date(document.querySelector('footer time').dateTime))"
    );
    assert_eq!(shown, browser.value(&expected).await);
    assert!(browser.value("document.querySelector('footer time').title").await.as_str().is_some_and(|title| title.ends_with("UTC")));
    browser.is_quiet(ephor.address());
}

/// By keys alone, in the order in which things stand.
#[tokio::test(flavor = "multi_thread")]
async fn keys_lead_everywhere() {
    let Some(browser) = Browser::start().await else { return };
    let ephor = server().await;
    with_events(&ephor).await;
    browser.open(&ephor.url("/?lang=en")).await;
    let focused = async || browser.value("(document.activeElement.getAttribute('href') ?? document.activeElement.id ?? '')").await;
    let tab = Key::Tab.to_string();
    browser.press(&tab).await;
    assert_eq!(focused().await, "#main");
    let seen = browser.value("document.activeElement.getBoundingClientRect().top >= 0").await;
    assert_eq!(seen, true, "the skip link is seen while it has the focus");
    browser.press(&tab).await;
    assert_eq!(focused().await, "/", "the name, then the tabs");
    browser
        .client()
        .find(fantoccini::Locator::Css(".skip"))
        .await
        .expect("a skip link")
        .send_keys(&Key::Enter.to_string())
        .await
        .expect("a key");
    browser.wait_until("the content has the focus", "document.activeElement.id === 'main'").await;
    // Nothing has an order of its own, and everything that is pressed can be reached.
    assert_eq!(browser.value("document.querySelectorAll('[tabindex]:not([tabindex=\"0\"]):not([tabindex=\"-1\"])').length").await, 0);
    // The pause button, by the space bar.
    browser.wait_until("the feed is live", "document.querySelector('.live-dot.on') !== null").await;
    browser.value("document.getElementById('feed-pause').focus()").await;
    browser.press(" ").await;
    browser.wait_until("it is paused", "document.getElementById('feed-pause').getAttribute('aria-pressed') === 'true'").await;
    let outline = browser.value("getComputedStyle(document.activeElement).outlineStyle").await;
    assert_eq!(outline, "solid", "what has the focus is seen");
    browser.is_quiet(ephor.address());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_goes_on_under_load() {
    let Some(mut browser) = Browser::start().await else { return };
    let ephor = Arc::new(server().await);
    browser.open(&ephor.url("/?lang=en")).await;
    browser.wait_until("the feed is live", "document.querySelector('.live-dot.on') !== null").await;
    let before = browser.text("#figures .value").await;
    // The sample again and again, each time from other sources.
    let stopped = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (ephor, stopped) = (ephor.clone(), stopped.clone());
        let lines: Vec<String> = data::sample(Set::Retail).into_iter().take(10_000).collect();
        async move {
            let mut round = 0;
            while !stopped.load(Ordering::Relaxed) {
                round += 1;
                let body: String = lines.iter().map(|line| line.replacen("\"id\":\"", &format!("\"id\":\"{round}-"), 1) + "\n").collect();
                ephor.post_with("application/x-ndjson", &[("prefer", "return=minimal")], body).await.succeeded();
            }
        }
    });
    let last = "Number(document.querySelector('#feed-rows tr[data-sequence]')?.dataset.sequence ?? 0)";
    browser.wait_until("new entries are shown", &format!("{last} > 5000")).await;
    browser.wait_until("it says that it shows some of them", "document.getElementById('feed-says').textContent.includes(' of ')").await;
    browser.wait_until("old rows go", "document.getElementById('feed-rows').rows.length === 200").await;
    let so_far = browser.value(last).await.as_u64().expect("a sequence");
    browser.wait_until("it goes on", &format!("{last} > {so_far}")).await;
    browser.wait_until("figures are new", &format!("document.querySelector('#figures .value').textContent.trim() !== '{before}'")).await;
    browser.screenshot("feed-under-load").await;

    browser.click("#feed-pause").await;
    let held = browser.value(last).await;
    browser.wait_until("entries wait", "/Paused\\. [1-9]/.test(document.getElementById('feed-says').textContent)").await;
    assert_eq!(browser.value(last).await, held, "nothing moves while it is paused");
    browser.click("#feed-pause").await;
    browser.wait_until("it goes on again", &format!("{last} > {held}")).await;

    browser.value("(() => { const select = document.querySelector('#feed-filters select[name=verdict]'); select.value = 'deny'; select.dispatchEvent(new Event('change', { bubbles: true })); })()").await;
    browser.wait_until("the filter stands in the address", "location.search === '?verdict=deny'").await;
    browser
        .wait_until(
            "only what is denied is shown, and goes on",
            "document.querySelectorAll('#feed-rows tr[data-verdict=deny]').length > 5 && document.querySelectorAll('#feed-rows .badge:not(.deny)').length === 0",
        )
        .await;
    assert!(browser.text("#feed-rows .said").await.contains("the description contains the listed word"));
    stopped.store(true, Ordering::Relaxed);
    load.await.expect("the events are taken");
    browser.is_quiet(ephor.address());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plot_becomes_a_picture() {
    let Some(browser) = Browser::start().await else { return };
    let ephor = server().await;
    with_events(&ephor).await;
    browser.open(&ephor.url("/?lang=en&period=hour")).await;
    // What would be saved is looked at instead.
    browser.value("(HTMLAnchorElement.prototype.click = function () { window.saved = { name: this.download, begin: this.href.slice(0, 22), length: this.href.length }; })").await;
    browser.click("#verdicts button[data-png]").await;
    browser.wait_until("there is a picture", "window.saved !== undefined").await;
    let saved = browser.value("window.saved").await;
    assert_eq!((&saved["name"], &saved["begin"]), (&json!("ephor-verdicts.png"), &json!("data:image/png;base64,")));
    assert!(saved["length"].as_u64().is_some_and(|length| length > 10_000), "{saved}");
    browser.is_quiet(ephor.address());
}

/// Where somebody has to show who they are: the form, what a regulator sees, and the way out.
#[tokio::test(flavor = "multi_thread")]
async fn who_looks_sees_what_is_theirs() {
    let Some(mut browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let tokens = folder.path().join("tokens.json");
    let config = format!("[access]\ntokens = {tokens:?}\n");
    let create = |role: &str| {
        let args = ["token", "create", "alice", "--role", role, "--tokens", tokens.to_str().expect("a path in UTF-8")];
        let made = std::process::Command::new(ephor_tests::binary()).args(args).output().expect("ephor starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8_lossy(&made.stdout).trim().to_string()
    };
    let (operator, regulator) = (create("operator"), create("regulator:office"));
    let ephor = Ephor::start_with(&config, &[]);
    browser.open(&ephor.url("/?lang=en")).await;
    browser.wait_until("the form is shown", "document.querySelector('form.login') !== null").await;
    browser.screenshot("login").await;
    browser.is_accessible("the form to log in").await;
    let enter = async |token: &str| {
        let field = browser.client().find(fantoccini::Locator::Css("#token")).await.expect("a field");
        field.send_keys(token).await.expect("a token");
        browser.click("form.login button").await;
    };
    enter("wrong").await;
    browser.wait_until("it is refused", "document.querySelector('[role=alert]') !== null").await;
    enter(&operator).await;
    browser.wait_until("the view is shown", "document.getElementById('verdicts') !== null").await;
    browser.click("form.who button").await;
    browser.wait_until("the form is shown again", "document.querySelector('form.login') !== null").await;
    enter(&regulator).await;
    browser.wait_until("the view is shown", "document.getElementById('sight') !== null").await;
    assert_eq!(browser.value("document.getElementById('verdicts') === null").await, true, "sums over everything are not for a regulator");
    browser.screenshot("home-regulator").await;
    browser.is_accessible("the view of a regulator").await;
}
