//! The folder of policies is followed while the server runs.

use ephor_tests::{Ephor, component_path, event, policy, settings, write_policy};

use crate::{GOOD, LISTED};

/// The release of the good policy that is in force, if any.
async fn release(ephor: &Ephor) -> Option<String> {
    ephor.in_force().await.into_iter().find(|(name, _)| name == GOOD).map(|(_, release)| release)
}

/// Waits until the release in force is another one than before.
async fn next(ephor: &Ephor, before: &Option<String>, what: &str) -> Option<String> {
    let begin = std::time::Instant::now();
    loop {
        let now = release(ephor).await;
        if now != *before {
            return now;
        }
        assert!(begin.elapsed() < ephor_tests::PATIENCE, "waited until {what}\n{}", ephor.log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_in_the_folder_take_effect_and_broken_ones_do_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let ephor = Ephor::start(&["--policies", path.to_str().expect("a path in UTF-8")]);
    assert_eq!(release(&ephor).await, None);
    let id = std::cell::Cell::new(0);
    let judged = async || {
        id.set(id.get() + 1);
        ephor.judge([event::listing(id.get(), LISTED)]).await.remove(0)
    };
    assert_eq!(judged().await["verdict"], "allow");

    write_policy(path, GOOD, Some(&policy(GOOD)), Some(&settings(GOOD)));
    let first = next(&ephor, &None, "a policy that was added is in force").await;
    assert_eq!(event::findings(&judged().await, GOOD).count(), 1);

    write_policy(path, GOOD, None, Some(&format!("{} ", settings(GOOD))));
    let second = next(&ephor, &first, "new settings are in force").await;
    assert_ne!(second, first);

    write_policy(path, GOOD, Some(b"broken"), None);
    ephor.wait_until("the broken component is reported", || ephor.log().contains("not loaded"));
    assert_eq!(release(&ephor).await, second, "the old one stays in force");
    assert_eq!(event::findings(&judged().await, GOOD).count(), 1);

    write_policy(path, GOOD, Some(&policy(GOOD)), Some(&settings(GOOD)));
    let third = next(&ephor, &second, "the mended one is in force").await;
    assert_eq!(third, first, "the same component and settings are the same release");

    std::fs::remove_file(path.join(format!("{GOOD}.wasm"))).expect("the component is removed");
    assert_eq!(next(&ephor, &third, "a policy that was removed is out of force").await, None);
    assert_eq!(judged().await["verdict"], "allow");
}

/// What is broken at the start does not keep the rest from starting.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_policy_at_the_start_is_reported_and_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(component_path("policies", GOOD), folder.path().join(format!("{GOOD}.wasm"))).expect("a component is copied");
    write_policy(folder.path(), GOOD, None, Some(&settings(GOOD)));
    write_policy(folder.path(), "broken", Some(b"broken"), None);
    let ephor = Ephor::start(&["--policies", folder.path().to_str().expect("a path in UTF-8")]);
    assert!(release(&ephor).await.is_some());
    assert_eq!(ephor.in_force().await.len(), 1);
    assert!(ephor.log().contains("broken"), "{}", ephor.log());
}
