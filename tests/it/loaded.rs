//! Many policies: how many there may be depends on how many one event meets.

use std::sync::Arc;

use ephor::policy::Grant;
use ephor::runtime::{By, Offer};
use ephor::{LoadError, Runtime, ingest};
use ephor_tests::forge::renamed;
use ephor_tests::{binary, guest, target_dir};
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
