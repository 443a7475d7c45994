//! Many policies: how many there may be depends on how many one event meets.

use std::sync::Arc;

use ephor::policy::Grant;
use ephor::runtime::{By, Offer};
use ephor::{LoadError, Runtime, ingest};
use ephor_tests::forge::renamed;
use ephor_tests::{binary, guest, policy, target_dir};
use serde_json::json;

/// Releases of the order limit, each by an office of its own.
fn offers(component: &[u8], offices: std::ops::Range<usize>) -> Vec<Offer> {
    let component: Arc<[u8]> = component.into();
    let settings: Arc<[u8]> = json!({"negative_categories": ["arms"], "limit_cents": 100}).to_string().into_bytes().into();
    let offer = |office| Offer {
        publisher: Some(format!("office-{office}")),
        grant: Grant::development(),
        ..Offer::development(component.clone(), settings.clone())
    };
    offices.map(offer).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_about_other_events_take_nobodys_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::builder().worker(binary()).cache(target_dir().join("it-cache")).data(folder.path().join("data"));
    let runtime = runtime.build().expect("a runtime");
    let (placed, vetted) = (guest("order_limit"), renamed(&guest("order_limit"), "order.placed", "order.vetted"));
    runtime.publish(offers(&vetted, 0..40), By::new("test")).await.expect("40 about other events");
    runtime.publish(offers(&placed, 40..88), By::new("test")).await.expect("48 about the same events, 88 in all");

    let event = json!({"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed", "time": "2026-01-02T03:04:05Z",
        "data": {"category": "arms", "amount_cents": 5}});
    let event = ingest::structured(event.to_string().as_bytes(), &ingest::Limits::default()).expect("an event");
    let judged = runtime.submit(vec![event]).await.expect("room").await.expect("an answer");
    let verdict = judged.answers[0].verdict().expect("a verdict");
    assert_eq!((verdict.findings.len(), verdict.faults.len()), (48, 0), "all that are asked answer, in one entry");

    let refused = runtime.publish(offers(&placed, 88..89), By::new("test")).await.expect_err("one more");
    assert!(matches!(&refused, LoadError::Crowded { events, max: 48 } if events == "order.placed"), "{refused}");
    runtime.publish(offers(&vetted, 89..90), By::new("test")).await.expect("one more about other events");
    assert_eq!(runtime.policies().len(), 89);
    runtime.close().await;
}

/// Fields are taken out by type: the same field of a policy is in other company in an event of
/// the one type than in an event of the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_about_two_types_sees_its_own_fields_in_both() {
    let runtime = Runtime::builder().worker(binary()).cache(target_dir().join("it-cache")).build().expect("a runtime");
    let both = policy("negative-list");
    let lines_only = renamed(&both, "retail.cancellation.line", "retail.cancellation.none");
    let lines_only = renamed(&lines_only, "/data/description", "/data/inscription");
    let offer = |office: &str, component: &[u8], word: &str| Offer {
        publisher: Some(office.into()),
        grant: Grant::development(),
        ..Offer::development(component.into(), json!({"words": [word]}).to_string().into_bytes().into())
    };
    // Offices stand in the order of their names.
    let offers = vec![offer("a", &lines_only, "inscribed"), offer("b", &both, "described")];
    runtime.publish(offers, By::new("test")).await.expect("two policies");

    let limits = ingest::Limits::default();
    let kinds = ["retail.invoice.line", "retail.cancellation.line", "retail.unknown"];
    // So few that they are projected by one thread, and so many that it takes several.
    for count in [9usize, 1_200] {
        let event = |number: usize| {
            let words = |at: usize, word: &'static str| if (number / 3).is_multiple_of(2 + at) { word } else { "nothing" };
            let event = json!({"specversion": "1.0", "id": format!("{count}-{number}"), "source": "/shop", "type": kinds[number % 3],
                "time": "2026-01-02T03:04:05Z",
                "data": {"description": words(0, "described"), "inscription": words(1, "inscribed")}});
            ingest::structured(event.to_string().as_bytes(), &limits).expect("an event")
        };
        let judged = runtime.submit((0..count).map(event).collect()).await.expect("room").await.expect("an answer");
        for (number, answer) in judged.answers.iter().enumerate() {
            let verdict = answer.verdict().expect("a verdict");
            assert!(verdict.faults.is_empty(), "{number}");
            let found: Vec<&str> = verdict.findings.iter().map(|finding| finding.release.policy()).collect();
            let (inscribed, described) = (number / 3 % 3 == 0, number / 3 % 2 == 0);
            let expected: Vec<&str> = match number % 3 {
                0 => [("a/negative-list", inscribed), ("b/negative-list", described)].iter().filter(|it| it.1).map(|it| it.0).collect(),
                1 if described => vec!["b/negative-list"],
                _ => Vec::new(),
            };
            assert_eq!(found, expected, "{number} of {count}");
        }
    }
    runtime.close().await;
}
