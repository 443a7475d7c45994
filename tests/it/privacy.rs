//! What becomes of what events say: who sees it, where it never lies, and when it is over.

use ephor_tests::client::{BATCH, EVENT, LINES};
use ephor_tests::{Ephor, PATIENCE, documents, event, guest, ledger, policy, settings};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::access::{Door, ask, send};
use crate::grants::{self, all_bytes, is_in};
use crate::publishers::{Both, words};
use crate::{GOOD, LISTED};

/// What stands in the data of events, and nowhere else.
const CANARY: &str = "canary-6f0d2c9e41";

/// Refusals say where something is wrong, and not what stands there; neither the cache of
/// compiled code nor the ledger has it, and a core of the process is not written by itself.
#[tokio::test(flavor = "multi_thread")]
async fn pv_03_what_an_event_says_is_in_no_refusal_and_on_no_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, cache) = (folder.path().join("data"), folder.path().join("cache"));
    let cache_text = cache.to_str().expect("a path in UTF-8").to_string();
    let ephor = Ephor::start_in(&data, "", &["--cache", &cache_text]);
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    ephor.put("traps-on-a-row", &guest("traps_on_a_row"), "{}").await.succeeded();
    let event = |id: u32, description: Value| {
        let mut event = event::listing(id, "");
        event["data"]["description"] = description;
        event["data"]["customer"] = json!(CANARY);
        event
    };
    let mut said = String::new();
    for (id, description) in [(1, json!(format!("{LISTED} {CANARY}"))), (2, json!(format!("boom {CANARY}"))), (3, json!([CANARY]))] {
        said += &ephor.post(EVENT, event(id, description).to_string()).await.expect(200).text();
    }
    // Other bytes under a known id.
    said += &ephor.post(EVENT, event(1, json!(CANARY)).to_string()).await.expect(409).text();
    let whole = event(4, json!(CANARY)).to_string();
    for bad in [
        whole.replacen("\"customer\":", "\"description\":", 1),
        whole.replacen("\"quantity\":1", "\"quantity\":9223372036854775808", 1),
        whole.replacen("\"quantity\":1", &format!("\"quantity\":{}{}", "[".repeat(40), "]".repeat(40)), 1),
        whole.replacen(CANARY, &format!("{CANARY}\\ud800"), 1),
        whole.replacen(CANARY, &format!("{CANARY}\u{1}"), 1),
        whole[..whole.len() - 2].to_string(),
        format!("{whole} {CANARY}"),
        format!("\"{CANARY}\""),
        CANARY.to_string(),
    ] {
        for form in [EVENT, LINES, BATCH] {
            let body = if form == BATCH { format!("[{bad}]") } else { bad.clone() };
            said += &ephor.post(form, body).await.expect(400).text();
        }
    }
    said += &ephor.get("/v1/verdicts").await.expect(200).text();
    said += &ephor.get("/").await.expect(200).text();
    said += &ephor.get("/event/4").await.expect(200).text();
    assert!(!said.contains(CANARY), "{}", said.lines().find(|line| line.contains(CANARY)).unwrap_or_default());
    assert!(!ephor.log().contains(CANARY), "{}", ephor.log());
    assert!(ephor.stop().success());
    let mut bytes = Vec::new();
    all_bytes(folder.path(), &mut bytes);
    assert!(bytes.len() > 1 << 20, "there is a ledger, and compiled code");
    assert!(!is_in(&bytes, CANARY.as_bytes()), "what events say is on the disk");
    let unit = documents::read("packaging/ephor.service");
    assert!(unit.lines().any(|line| line == "LimitCORE=0"), "a core has events in it");
}

/// A policy may repeat what it was granted, in evidence; of that there is a bound, and the
/// rest of a finding are words of the manifest, which was looked at before.
#[tokio::test(flavor = "multi_thread")]
async fn pv_04_a_finding_says_no_more_than_was_granted_and_not_much_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = grants::runtime(folder.path());
    let fields = [("/data/do", grants::word("plain")), ("/data/plain", grants::word("plain"))];
    let grant = runtime.grant("office", &grants::publisher("snoop", &fields)).expect("a grant");
    runtime.install_for(grant, guest("snoops"), br#"{"changed":[]}"#.to_vec()).await.expect("taken");
    let snooped = json!({
        "specversion": "1.0", "id": "1", "source": "/tests", "type": "snoop", "subject": "somebody",
        "data": {"do": "report", "plain": CANARY, "secret": "not granted", "other": "not asked for"},
    });
    let (evidence, fault, _) = grants::judge(&runtime, snooped).await;
    assert_eq!((evidence.into_iter().collect::<Vec<_>>(), fault), (vec![("plain".to_string(), CANARY.to_string())], None));
    let manifest = &runtime.policies()[0].release.manifest;
    // What it can say at all: what it asks for, and the words that it was loaded with.
    assert!(manifest.fields.iter().any(|field| field.pointer == "/data/plain"), "{manifest:?}");
    assert!(!manifest.fields.iter().any(|field| field.pointer == "/data/other"), "{manifest:?}");
    runtime.close().await;

    let ephor = Ephor::start(&[]);
    ephor.put("huge-evidence", &guest("huge_evidence"), "{}").await.succeeded();
    let huge = ephor.judge([event::listing("huge", "boom")]).await.remove(0);
    let fault = event::faults(&huge, "huge-evidence").next().unwrap_or_else(|| panic!("a fault: {huge}"));
    assert_eq!((&fault["kind"], event::findings(&huge, "huge-evidence").count()), (&json!("output"), 0), "{huge}");
    let line = ephor.entries(event::sequence(&huge)).await.remove(0);
    assert!(line.len() < 4 << 10, "nothing of it is recorded: {} bytes", line.len());
}

/// What a policy was shown is committed to with a salt: with it anybody can check that, and
/// without it nobody can try out what it was.
#[tokio::test(flavor = "multi_thread")]
async fn pv_05_a_commitment_opens_with_its_salt_and_with_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let ephor = Ephor::start_in(folder.path(), "[ledger]\nevents = \"full\"\ncheckpoint-ms = 20\n", &[]);
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    let answers = ephor.judge([event::listing(1, "WINE"), event::listing(2, "WINE")]).await;
    let sequences: Vec<u64> = answers.iter().map(event::sequence).collect();
    let entries = ephor.event_entries(sequences[0]).await;
    let columns: Vec<String> = entries.iter().map(|entry| event::text(&entry["asked"][0], "columns").to_string()).collect();
    assert_ne!(columns[0], columns[1], "the same content, and not to be seen to be the same");
    let mut salts = Vec::new();
    for sequence in &sequences {
        let given = ephor.get(&format!("/v1/events/{sequence}")).await.expect(200);
        salts.push(unhex(given.header("ephor-salt")));
    }
    let fields = ephor.get("/v1/releases").await.expect(200).json()["releases"][0]["fields"].clone();
    assert_eq!(fields.as_array().map(Vec::len), Some(1), "one text: {fields}");
    let commit = |salt: &[u8], word: &str| {
        let seen = [salt, b"t", &(word.len() as u64).to_le_bytes(), word.as_bytes()].concat();
        Sha256::digest(seen).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let dictionary = ["BEER", "WINE", "TEA", "LANTERN", "BOX OF CIGAR", ""];
    let opened =
        |salt: &[u8], columns: &str| -> Vec<&str> { dictionary.into_iter().filter(|word| commit(salt, word) == columns).collect() };
    for (at, columns) in columns.iter().enumerate() {
        assert_eq!(opened(&salts[at], columns), ["WINE"]);
        for other in [&salts[1 - at][..], b"", &[0; 32]] {
            assert_eq!(opened(other, columns), [""; 0], "without its salt nothing can be tried out");
        }
        let line = ephor.entries(sequences[at]).await.remove(0);
        let salt: String = salts[at].iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!line.contains(&salt), "the salt is in no leaf");
    }
    // The proof is about the entry, and asks for nothing of the event.
    ephor.act("/v1/erasures", json!({"subject": "sku/1", "by": "privacy office"}).to_string()).await.expect(200);
    ephor.get(&format!("/v1/events/{}", sequences[0])).await.expect(410);
    assert_eq!(ephor.event_entries(sequences[0]).await, entries, "leaves stay as they were");
    assert!(ephor.stop().success());
    let verified = ledger::verify(folder.path());
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal")).collect()
}

/// A count of few is a statement about each of them. So whoever is shown none of the
/// entries is shown no count of them by subject, source or type of event, however small.
#[tokio::test(flavor = "multi_thread")]
async fn pv_08_who_may_see_no_event_is_shown_no_count_of_some() {
    let (both, door) = (Both::new(), Door::new());
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let tokens = [("ingest", door.create("shop", &["ingest"])), ("metrics", door.create("figures", &["metrics"]))];
    let (office, auditor) = (door.create("duty", &["regulator:market-office"]), door.create("anna", &["auditor"]));
    let config = format!("{}{}", door.config(""), both.config(3600, "begin = \"enforce\""));
    let ephor = Ephor::start_in(&both.path("data"), &config, &[]);
    let rare = |id: u32| {
        let mut event = event::listing(id, LISTED);
        (event["subject"], event["source"]) = (json!(format!("rare-subject-{}", id % 2)), json!("/rare-source"));
        event
    };
    let headers = [("authorization", &*format!("Bearer {}", tokens[0].1)), ("content-type", LINES)];
    send(&ephor, "POST", "/v1/events", &headers, event::ndjson((0..9).map(rare))).await.expect(200);
    let views = [
        "/",
        "/subjects",
        "/subject?source=%2Frare-source&subject=rare-subject-1",
        "/map",
        "/plots/verdicts.svg",
        "/v1/verdicts",
        "/v1/status",
    ];
    for (role, token) in &tokens {
        for path in views {
            assert_eq!(ask(&ephor, path, token).await.status, 403, "{role}: {path}");
        }
    }
    let page = ask(&ephor, "/metrics", &tokens[1].1).await.expect(200).text();
    assert!(page.contains("ephor_findings_total{"), "{page}");
    for hidden in ["rare-subject", "rare-source", "retail.invoice.line"] {
        assert!(!page.contains(hidden), "{hidden} is counted by itself");
    }
    // A regulator sees each finding of its policies, and no subjects to count by.
    for path in views.iter().filter(|path| !path.starts_with("/subject?")) {
        let shown = ask(&ephor, path, &office).await.text();
        assert!(!shown.contains("rare-subject"), "{path}: {shown}");
    }
    assert_eq!(ask(&ephor, views[2], &office).await.status, 403);
    // Whoever sees a count of a subject is who sees each of its entries.
    assert!(ask(&ephor, "/v1/verdicts", &auditor).await.expect(200).text().contains("rare-subject-1"));
    let begin = std::time::Instant::now();
    while ask(&ephor, views[2], &auditor).await.status != 200 {
        assert!(begin.elapsed() < PATIENCE, "what was counted behind the events is shown");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pv_09_who_opens_the_content_of_an_event_is_in_the_log() {
    let (door, folder) = (Door::new(), tempfile::tempdir().expect("a folder"));
    let (shop, auditor, operator) =
        (door.create("shop", &["ingest"]), door.create("anna", &["auditor"]), door.create("olga", &["operator"]));
    let office = door.create("duty", &["regulator:market-office"]);
    let ephor = Ephor::start_in(folder.path(), &door.config("[ledger]\nevents = \"full\"\n"), &[]);
    let headers = [("authorization", &*format!("Bearer {shop}")), ("content-type", EVENT)];
    let answer = send(&ephor, "POST", "/v1/events", &headers, event::listing(1, CANARY).to_string()).await.expect(200).json();
    let sequence = event::sequence(&answer);
    let opened = |by: &str| {
        let log = ephor.log();
        log.lines().filter(|line| line.contains("The content of an event was given out") && line.contains(by)).count()
    };
    let path = format!("/v1/events/{sequence}");
    for token in [&shop, &office] {
        assert_eq!(ask(&ephor, &path, token).await.status, 403);
    }
    ask(&ephor, &format!("/event/{sequence}"), &office).await;
    assert_eq!(ask(&ephor, "/v1/events/99", &auditor).await.status, 404);
    assert_eq!(opened(""), 0, "{}", ephor.log());
    ask(&ephor, &path, &auditor).await.expect(200);
    ephor.wait_until("it is in the log", || opened("token:anna") == 1);
    // The view of an event shows it as well.
    ask(&ephor, &format!("/event/{sequence}"), &operator).await.expect(200);
    ephor.wait_until("it is in the log", || opened("token:olga") == 1);
    let log = ephor.log();
    let line = log.lines().find(|line| line.contains("given out")).expect("a line");
    assert!(line.contains(&format!("sequence={sequence}")) && !log.contains(CANARY), "{line}");
}

/// Once a grant is over, policies of its publisher see and judge nothing of what happens.
#[tokio::test(flavor = "multi_thread")]
async fn pv_10_a_grant_that_is_over_shows_nothing_any_more() {
    const POLICY: &str = "market-office/negative-list";
    let both = Both::new();
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let until = |time: &str| both.config(3600, &format!("begin = \"enforce\"\nuntil = \"{time}\""));
    let at = |id: &str, time: &str| {
        let mut event = event::listing(id, LISTED);
        event["time"] = time.into();
        event
    };
    let ephor = Ephor::start_in(&both.path("data"), &until("2026-02-01T00:00:00Z"), &[]);
    let answers = ephor.judge([at("1", "2026-01-31T23:59:59Z"), at("2", "2026-02-01T00:00:00Z"), at("3", "2026-01-31T00:00:00Z")]).await;
    let verdicts: Vec<&str> = answers.iter().map(|answer| event::text(answer, "verdict")).collect();
    assert_eq!(verdicts, ["deny", "allow", "deny"]);
    let entry = ephor.event_entries(event::sequence(&answers[1])).await.remove(0);
    assert!(entry["asked"].as_array().is_none_or(Vec::is_empty), "nothing was asked: {entry}");
    assert_eq!(entry["without"], json!([POLICY]), "and the entry says so: {entry}");
    assert_eq!(ephor.metric("ephor_policy_blind_answers_total", "cause=\"without\""), 1.0);
    let release = ephor.get("/v1/releases").await.expect(200).json()["releases"][0].clone();
    assert_eq!(release["valid_until"], "2026-02-01T00:00:00Z", "{release}");
    assert!(ephor.stop().success());

    // Longer, and then for good: what is in force is the same release throughout.
    let ephor = Ephor::start_in(&both.path("data"), &until("2026-03-01T00:00:00+01:00"), &[]);
    let answers = ephor.judge([at("4", "2026-02-28T22:59:59Z"), at("5", "2026-02-28T23:00:00Z")]).await;
    let verdicts: Vec<&str> = answers.iter().map(|answer| event::text(answer, "verdict")).collect();
    assert_eq!(verdicts, ["deny", "allow"]);
    assert!(ephor.stop().success());
    let verified = ledger::verify(&both.path("data"));
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
    let refused = Ephor::try_start_in(&both.path("other"), &until("2026-02-30"), &[]).err().expect("refused").log;
    assert!(refused.contains("until is \"2026-02-30\", which is no RFC 3339 date-time"), "{refused}");
}
