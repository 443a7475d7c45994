//! The map of findings, without a script and in a browser.

use ephor_tests::browser::{Browser, DESKTOP, PHONE};
use ephor_tests::client::LINES;
use ephor_tests::data::{self, Set};
use ephor_tests::{Ephor, policy, raw, settings};
use fantoccini::key::Key;
use serde_json::Value;

use crate::policy_new::{ephor, said};
use crate::publishers::{Both, text};

const FENCE: &str = "geofence";

const FULL: &str = "[ledger]\nevents = \"full\"\n";

/// A server that has judged where vehicles stand.
async fn server(config: &str) -> Ephor {
    let ephor = Ephor::start_with(config, &[]);
    ephor.put(FENCE, &policy(FENCE), &settings(FENCE)).await.succeeded();
    ephor.post(LINES, data::sample(Set::Columbus).join("\n")).await.succeeded();
    ephor
}

/// Findings of a rule in the ledger.
async fn findings(ephor: &Ephor, rule: Option<&str>) -> u64 {
    let entries = ephor.event_entries(1).await;
    let all = entries.iter().flat_map(|entry| entry["asked"].as_array().cloned().unwrap_or_default());
    let found = all.flat_map(|asked| asked["findings"].as_array().cloned().unwrap_or_default());
    found.filter(|finding| rule.is_none_or(|rule| finding["rule"] == rule)).count() as u64
}

fn grouped(n: u64) -> String {
    if n < 1_000 { n.to_string() } else { format!("{},{:03}", n / 1_000, n % 1_000) }
}

#[tokio::test(flavor = "multi_thread")]
async fn outlines_and_findings_are_drawn_on_the_server() {
    let ephor = server(FULL).await;
    let all = findings(&ephor, None).await;
    assert!(all > 100, "the sample has findings");
    let page = raw::get(ephor.address(), "/map").text();
    assert_eq!(page.matches("<path class=\"area ").count(), 52, "one outline for each boundary");
    assert!(page.contains(&format!("of {} findings of geofence", grouped(all))) && page.contains("52 areas"), "{page}");
    assert!(page.contains("class=\"group r") && page.contains("href=\"/event/"), "groups, and a list");
    let of_rule = findings(&ephor, Some("no-parking")).await;
    let one = raw::get(ephor.address(), "/map?rule=no-parking").text();
    assert!(one.contains(&format!("of {} findings", grouped(of_rule))), "{of_rule}");
    assert!(
        raw::get(ephor.address(), "/map?lang=zh").text().contains("车辆位于禁止停放区域"),
        "what was found is said in the viewer's language"
    );
    // Nearer, there are fewer; beyond the last day there are none.
    let near = raw::get(ephor.address(), "/map?lat=39.96&lng=-83.0&zoom=6").text();
    let shown = |page: &str| {
        let says = page.split("id=\"map-says\"").nth(1).and_then(|rest| rest.split('>').nth(1)).unwrap_or_default().to_string();
        says.split(' ').next().unwrap_or_default().replace(',', "").parse::<u64>().expect("a number")
    };
    assert!(shown(&near) < shown(&page) && shown(&page) <= all);
    assert!(raw::get(ephor.address(), "/map?from=2099-01-01").text().contains("0 of 0 findings"));
    let file = raw::get(ephor.address(), "/plots/map.svg?policy=geofence");
    let svg = file.text();
    assert!(file.status == 200 && svg.contains("xmlns=") && svg.contains("no parking") && !svg.contains("var(") && !svg.contains("href="));
    for (path, status) in [("/map?policy=nobody", 404), ("/map?from=soon", 400), ("/plots/map.svg?policy=nobody", 404)] {
        assert_eq!(raw::get(ephor.address(), path).status, status, "{path}");
    }
}

/// Without content there are outlines, and it is said why there is no more.
#[tokio::test(flavor = "multi_thread")]
async fn findings_without_content_have_no_place() {
    let ephor = server("").await;
    let all = findings(&ephor, None).await;
    let page = raw::get(ephor.address(), "/map").text();
    assert!(page.contains(&format!("{} findings have no place: the content of their events is not kept", grouped(all))), "{page}");
    assert_eq!(page.matches("<path class=\"area ").count(), 52);
    // A policy that sees no positions has no map.
    let other = crate::with_good_policy(FULL).await;
    assert!(raw::get(other.address(), "/map").text().contains("No policy in force sees positions"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_map_moves_by_links_keys_and_pointer() {
    let Some(mut browser) = Browser::start().await else { return };
    let ephor = server(FULL).await;
    browser.open(&ephor.url("/map")).await;
    let zoom = "Number(document.querySelector('#map .surface svg').dataset.zoom)";
    let lat = "Number(document.querySelector('#map .surface svg').dataset.lat)";
    browser.is_accessible("the map").await;
    for (name, language, scheme, size) in [
        ("map", "en", "light", DESKTOP),
        ("map-dark", "en", "dark", DESKTOP),
        ("map-zh", "zh", "light", DESKTOP),
        ("map-narrow", "en", "light", PHONE),
    ] {
        browser.prefer(scheme);
        browser.resize(size);
        browser.open(&ephor.url(&format!("/map?lang={language}"))).await;
        browser.is_within_its_window(name).await;
        browser.screenshot(name).await;
    }
    browser.is_accessible("the narrow map").await;
    browser.resize(DESKTOP);
    browser.prefer("light");
    browser.open(&ephor.url("/map?lang=en")).await;
    let first = browser.value(zoom).await.as_u64().expect("a number");
    browser.click("[data-map='in']").await;
    browser.wait_until("it is nearer", &format!("{zoom} === {}", first + 1)).await;
    assert_eq!(browser.value("document.activeElement.dataset.map").await, "in", "the focus stays");
    // Keys, once the map has the focus.
    assert_eq!(browser.value("(document.querySelector('#map .map').focus(), true)").await, true);
    let before = browser.value(lat).await.as_f64().expect("a number");
    browser.press("+").await;
    browser.wait_until("it is nearer by a key", &format!("{zoom} === {}", first + 2)).await;
    browser.press(&Key::Up).await;
    browser.wait_until("it is farther north", &format!("{lat} > {before}")).await;
    browser.press("0").await;
    browser.wait_until("the whole is there", &format!("{zoom} === 0")).await;
    // The address is that of what is seen, so it can be passed on.
    browser.click("#map a.button[data-map='in']").await;
    browser.wait_until("the address says so", "new URL(location.href).searchParams.get('zoom') === '1'").await;
    // A group leads nearer.
    assert_eq!(browser.value("(document.querySelector('#map .surface a[data-map]').dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true})), true)").await, true);
    browser.wait_until("a group is opened", &format!("{zoom} === 3")).await;
    browser.screenshot("map-near").await;
    browser.is_accessible("the map from near").await;
    // Nothing else is asked for than what is ours.
    browser.is_quiet(ephor.address());
}

/// A policy that asks for positions coarse.
const COARSE: &str = r#"
name = "low-battery"
version = "1.0.0"
summary = "Flags vehicles of one provider, for the map."
events = ["mobility.vehicle.observed"]

[[field]]
name = "provider"
pointer = "/data/provider"
kind = "text"
purpose = "tell providers apart"

[[field]]
name = "lat"
pointer = "/data/lat"
kind = "float"
purpose = "show where"
form = "coarse"

[[field]]
name = "lng"
pointer = "/data/lng"
kind = "float"
purpose = "show where"
form = "coarse"

[[rule]]
id = "seen"
action = "flag"
severity = "low"
legal_basis = "Example Act, article 7"
message.en = "a vehicle of {provider} was seen"
message.zh = "看到 {provider} 的车辆"
when = "event.provider == 'Veo' && event.lat > 0.0"
evidence.provider = "event.provider"
"#;

/// A publisher's policy sees positions coarse only, and so does whoever looks at the map.
#[tokio::test(flavor = "multi_thread")]
async fn coarse_positions_are_cells() {
    let both = Both::new();
    let rules = both.path("rules.toml");
    std::fs::write(&rules, COARSE).expect("written");
    said(&ephor(&both.path("."), &["policy", "build", text(&rules), "--out", text(&both.path("."))]), 0);
    let component = both.path("low-battery.wasm");
    let legal = ["--legal-basis", "Example Act, article 7", "--jurisdiction", "US", "--version", "1.0.0"];
    both.done("release", &[&["--component", text(&component)][..], &legal].concat());
    let coarse = |axis: &str| format!("{{ form = \"coarse\", geohash = 6, axis = \"{axis}\" }}");
    let config = both.config(3_600, "").replace("retail.*", "mobility.*").replace(
        "\"/data/description\" = \"plain\"",
        &format!("\"/data/provider\" = \"plain\"\n\"/data/lat\" = {}\n\"/data/lng\" = {}", coarse("latitude"), coarse("longitude")),
    );
    let server = Ephor::start_with(&format!("{FULL}{config}"), &[]);
    server.post(LINES, data::sample(Set::Columbus).join("\n")).await.succeeded();
    let page = raw::get(server.address(), "/map").text();
    assert!(page.contains("class=\"cell r") && !page.contains("class=\"spot r0\" d=\"M5"), "cells");
    assert!(
        page.contains("only tried out")
            && page.contains("known as exactly only as the policy may see them")
            && page.contains("somewhere in"),
        "{page}"
    );
    // No position of an event is anywhere in the markup.
    for line in data::sample(Set::Columbus).iter().take(500) {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let exact = format!("{:.5}", event["data"]["lat"].as_f64().expect("a latitude"));
        assert!(!page.contains(&exact), "{exact}");
    }
    let Some(mut browser) = Browser::start().await else { return };
    browser.open(&server.url("/map")).await;
    browser.screenshot("map-coarse").await;
    browser.is_accessible("a coarse map").await;
    browser.is_quiet(server.address());
}
