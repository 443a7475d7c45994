//! The runtime inside of a platform's own program: the example that shows how, and what a
//! subscription promises.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ephor::runtime::{About, Notice, Verdicts, VerdictsError};
use ephor::verdict::Decision;
use ephor::{Runtime, ingest};
use ephor_tests::{binary, event, ledger, policy, profile_dir, settings, soon, target_dir};

use crate::{GOOD, LISTED};

#[test]
fn the_example_runs_and_says_what_it_does() {
    let example: PathBuf = profile_dir().join("examples/embed");
    assert!(example.exists(), "{} is missing: `make test` builds it", example.display());
    let output = Command::new(&example).env("CARGO_TARGET_DIR", target_dir()).output().expect("it starts");
    let said = ledger::printed(&output);
    assert!(output.status.success(), "{said}");
    let expected = [
        "in force: negative-list",
        "\"WINE GLASS\" is offered: 201 listed",
        "\"CIGAR BOX\" is offered: 403 the description contains the listed word CIGAR",
        "\"LANTERN\" is offered: 201 listed",
        "in force: negative-list",
        "\"LANTERN\" is offered: 403 the description contains the listed word LANTERN",
        "\"LANTERN\" is offered: 200 was judged before, in entry 4",
        "closed",
    ];
    let mut rest = said.as_str();
    for part in expected {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?}, in this order, in\n{said}"));
        rest = &rest[at + part.len()..];
    }
    let recorded: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("recorded: ")).collect();
    let of = |sequence, id, verdict| format!("entry {sequence}: event {id} of /shop: {verdict}");
    let all = [of(2, 1, "allow"), of(3, 2, "deny listed-word"), of(4, 3, "allow"), of(6, 4, "deny listed-word")];
    assert_eq!(recorded, all, "every verdict once, in order");
}

/// Installs the good policy.
async fn install(runtime: &Runtime) {
    runtime.install(policy(GOOD), settings(GOOD).into_bytes()).await.expect("in force");
}

fn builder() -> ephor::runtime::Builder {
    Runtime::builder().worker(binary()).cache(target_dir().join("it-cache"))
}

/// Submits events, every third of which is denied.
async fn submit(runtime: &Runtime, from: usize, count: usize) {
    let events = (from..from + count).map(|id| {
        let text = event::listing(id, if id.is_multiple_of(3) { LISTED } else { "LANTERN" }).to_string();
        ingest::structured(text.as_bytes(), &ingest::Limits::default()).expect("an event")
    });
    runtime.submit(events.collect()).await.expect("taken").await.expect("judged");
}

async fn next(verdicts: &mut Verdicts) -> Option<Result<Notice, VerdictsError>> {
    soon("a verdict", verdicts.next()).await
}

fn assert_about(notice: &Notice, id: usize) {
    let About::Event { id: found, source, .. } = &notice.about else { panic!("{notice:?}") };
    assert_eq!((found.as_str(), source.as_str()), (id.to_string().as_str(), "/tests"));
    let denied = id.is_multiple_of(3);
    assert_eq!(notice.verdict, if denied { Decision::Deny } else { Decision::Allow }, "{notice:?}");
    assert_eq!(notice.findings.len(), usize::from(denied), "{notice:?}");
    assert!(notice.findings.iter().all(|found| found.policy == GOOD && found.counts && found.message.contains("CIGAR")), "{notice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_reads_the_ledger_from_anywhere_and_misses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = builder().data(folder.path()).build().expect("a runtime");
    install(&runtime).await;
    submit(&runtime, 0, 1_000).await;
    // From the first, from the middle, and from what is still to come.
    let (mut all, mut late, mut future) = (runtime.verdicts(1), runtime.verdicts(502), runtime.verdicts(1_102));
    let reader = tokio::spawn(async move {
        let mut sequences = Vec::new();
        while let Some(notice) = next(&mut future).await {
            sequences.push(notice.expect("a verdict").sequence);
        }
        sequences
    });
    submit(&runtime, 1_000, 200).await;
    for id in 0..1_200 {
        let notice = next(&mut all).await.expect("there is more").expect("a verdict");
        assert_about(&notice, id);
        assert_eq!(notice.sequence, id as u64 + 2, "behind the entry of the policy");
        let entry = ledger::parse(notice.entry.as_deref().expect("the entry"));
        assert_eq!(event::sequence(&entry), notice.sequence);
    }
    assert_about(&next(&mut late).await.expect("there is more").expect("a verdict"), 500);
    // Nothing more comes until something does; giving up loses nothing.
    assert!(tokio::time::timeout(Duration::from_millis(50), all.next()).await.is_err());
    submit(&runtime, 1_200, 1).await;
    assert_about(&next(&mut all).await.expect("there is more").expect("a verdict"), 1_200);

    // A subscription keeps nobody from ending, and ends with everything.
    soon("the end of the runtime", runtime.close()).await;
    assert!(next(&mut all).await.is_none());
    let mut count = 1;
    while let Some(notice) = next(&mut late).await {
        notice.expect("a verdict");
        count += 1;
    }
    assert_eq!(count, 701, "also what was recorded before it ended");
    assert_eq!(soon("the reader", reader).await.expect("it ends well"), (1_102..=1_202).collect::<Vec<u64>>());

    // The next process goes on behind what the last one has dealt with.
    let runtime = builder().data(folder.path()).build().expect("a runtime");
    let mut again = runtime.verdicts(1_202);
    assert_about(&next(&mut again).await.expect("there is more").expect("a verdict"), 1_200);
    soon("the end of the runtime", runtime.close()).await;
    assert!(next(&mut again).await.is_none());
}

/// Without a ledger there are the verdicts that are given meanwhile, and a subscriber who is
/// too slow is told how many are lost.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_ledger_a_subscription_is_live() {
    let runtime = builder().build().expect("a runtime");
    install(&runtime).await;
    submit(&runtime, 0, 10).await;
    let mut verdicts = runtime.verdicts(1);
    submit(&runtime, 10, 10).await;
    for id in 10..20 {
        assert_about(&next(&mut verdicts).await.expect("there is more").expect("a verdict"), id);
    }
    for chunk in 0..10 {
        submit(&runtime, 20 + chunk * 500, 500).await;
    }
    let missed = match next(&mut verdicts).await {
        Some(Err(VerdictsError::Missed { missed })) => missed as usize,
        other => panic!("nobody can keep 5,000: {other:?}"),
    };
    assert_about(&next(&mut verdicts).await.expect("there is more").expect("a verdict"), 20 + missed);
    soon("the end of the runtime", runtime.close()).await;
    let mut left = 0;
    while let Some(notice) = next(&mut verdicts).await {
        notice.expect("a verdict");
        left += 1;
    }
    assert_eq!(1 + missed + left, 5_000);
}
