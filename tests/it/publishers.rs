//! Publishers as a platform follows them: what is new in a repository takes effect,
//! what is wrong with it does not, and what is in force needs nobody.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ephor_tests::{Ephor, binary, component_path, event, ledger, settings};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{GOOD, LISTED};

const OFFICE: &str = "market-office";
const POLICY: &str = "market-office/negative-list";

/// A publisher with a repository, and a platform that follows it.
pub struct Both {
    folder: TempDir,
}

impl Both {
    pub fn new() -> Both {
        Self::with(&[])
    }

    /// The repository is made with further arguments.
    pub fn with(args: &[&str]) -> Both {
        let both = Both { folder: tempfile::tempdir().expect("a folder") };
        both.done("init", &[&["--publisher", OFFICE], args].concat());
        both
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn repo(&self, verb: &str, args: &[&str]) -> Output {
        Command::new(binary()).args(["repo", verb]).arg(self.path("rules")).args(args).output().expect("the binary starts")
    }

    #[track_caller]
    pub fn done(&self, verb: &str, args: &[&str]) {
        let output = self.repo(verb, args);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "repo {verb}: {said}");
    }

    /// Publishes a version of a policy with these settings.
    #[track_caller]
    pub fn release(&self, policy: &str, version: &str, settings: &Value, more: &[&str]) {
        let file = self.path(&format!("{policy}-{version}.json"));
        std::fs::write(&file, settings.to_string()).expect("written");
        let component = component_path("policies", policy);
        let mut args = vec!["--component", text(&component), "--settings", text(&file), "--version", version];
        args.extend(["--legal-basis", "E-Commerce Law, article 13", "--jurisdiction", "CN"]);
        args.extend(more);
        self.done("release", &args);
    }

    /// The configuration of a platform that looks into the repository so often; `more`
    /// stands in the publisher's table.
    pub fn config(&self, poll_s: u32, more: &str) -> String {
        let (rules, root) = (self.path("rules"), self.path("rules/metadata/1.root.json"));
        format!(
            "[publishers.{OFFICE}]\nrepository = {:?}\nroot = {:?}\npoll-s = {poll_s}\nevents = [\"retail.*\"]\naction = \"deny\"\n{more}\n\
             [publishers.{OFFICE}.fields]\n\"/data/description\" = \"plain\"\n",
            text(&rules),
            text(&root)
        )
    }

    /// A platform that follows the repository, and looks into it by itself at the start
    /// only.
    fn platform(&self, more: &str) -> Ephor {
        Ephor::start_in(&self.path("data"), &self.config(3600, more), &[])
    }

    /// Takes the repository away. The platform was given the root; that it has of its own.
    pub fn take_away(&self) {
        std::fs::rename(self.path("rules"), self.path("away")).expect("moved");
        std::fs::create_dir_all(self.path("rules/metadata")).expect("a folder");
        std::fs::copy(self.path("away/metadata/1.root.json"), self.path("rules/metadata/1.root.json")).expect("copied");
    }

    pub fn bring_back(&self) {
        std::fs::remove_dir_all(self.path("rules")).expect("removed");
        std::fs::rename(self.path("away"), self.path("rules")).expect("moved back");
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

pub fn words(words: &[&str]) -> Value {
    json!({ "words": words })
}

/// Looks into the repository now.
pub async fn look(ephor: &Ephor) -> ephor_tests::Answer {
    ephor.act(&format!("/v1/publishers/{OFFICE}/look"), "").await
}

/// What was not taken, by code.
pub async fn refused(ephor: &Ephor) -> Vec<String> {
    let status = ephor.status().await;
    let refused = status["publishers"][0]["refused"].as_array().expect("a list").clone();
    refused.iter().map(|refused| event::text(refused, "code").to_string()).collect()
}

/// The release that counts for an event with a listed word, by its id.
async fn judge(ephor: &Ephor, id: &str) -> String {
    let answer = ephor.judge([event::listing(id, LISTED)]).await.remove(0);
    assert_eq!(answer["verdict"], "deny", "{answer}");
    event::text(event::findings(&answer, POLICY).next().expect("a finding"), "release").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_at_any_step_leaves_what_is_in_force() {
    let both = Both::new();
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let ephor = both.platform("begin = \"enforce\"");
    let first = judge(&ephor, "first").await;

    // Its own vectors say something else than the component does.
    let vectors = both.path("wrong.json");
    let vector = json!({
        "settings": words(&["CIGAR"]), "events": [event::listing("1", LISTED)], "expect": [[{"rule": "listed-word", "evidence": {"word": "WINE"}}]],
    });
    std::fs::write(&vectors, vector.to_string()).expect("written");
    both.release(GOOD, "1.1.0", &words(&["CIGAR", "A"]), &["--vectors", text(&vectors)]);
    let looked = look(&ephor).await.expect(200).json();
    let message = event::text(&looked["refused"][0], "message");
    assert!(message.contains("fails its own vectors") && message.contains("wrong, event 0"), "{message}");
    assert_eq!((refused(&ephor).await, judge(&ephor, "vectors").await), (vec!["vectors".to_string()], first.clone()));

    // It asks for fields that the publisher was not granted.
    let fairness = serde_json::from_str(&settings("price-fairness")).expect("JSON");
    both.release("price-fairness", "1.0.0", &fairness, &[]);
    let looked = look(&ephor).await.expect(200).json();
    let message = event::text(&looked["refused"][0], "message");
    assert!(message.contains("was not granted") && message.contains("/data/"), "{message}");
    assert_eq!(refused(&ephor).await.len(), 2);
    assert_eq!(judge(&ephor, "grant").await, first);

    // A part of what was signed is other bytes now.
    both.release(GOOD, "1.2.0", &words(&["CIGAR", "B"]), &[]);
    let targets = both.path("rules/targets/blobs");
    let signed = words(&["CIGAR", "B"]).to_string();
    let mut blobs = std::fs::read_dir(&targets).expect("the blobs").map(|file| file.expect("a file").path());
    let blob = blobs.find(|file| std::fs::read(file).is_ok_and(|bytes| bytes == signed.as_bytes())).expect("the settings");
    std::fs::write(&blob, signed.replace('B', "X")).expect("changed");
    look(&ephor).await;
    assert_eq!(judge(&ephor, "changed").await, first);
    // And with the right bytes again it is taken: nothing else was wrong with it.
    std::fs::write(&blob, &signed).expect("mended");
    let looked = look(&ephor).await.expect(200).json();
    assert_eq!(looked["swaps"][0]["policy"], POLICY, "{looked}");
    assert_ne!(judge(&ephor, "mended").await, first);

    // The repository is no repository any more.
    std::fs::write(both.path("rules/metadata/timestamp.json"), "{}").expect("written");
    let answer = look(&ephor).await.expect(502).json();
    assert!(answer["code"].is_string(), "{answer}");
    judge(&ephor, "broken").await;
    // No event was judged by anything but the two that were good.
    let entries = ephor.event_entries(1).await;
    assert!(
        entries.len() == 6 && entries.iter().all(|entry| entry["asked"].as_array().is_some_and(|asked| asked.len() == 1)),
        "{entries:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_needs_no_repository() {
    let both = Both::new();
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let ephor = both.platform("begin = \"enforce\"");
    let release = judge(&ephor, "before").await;
    ephor.kill();
    both.take_away();
    let ephor = both.platform("begin = \"enforce\"");
    assert_eq!(judge(&ephor, "after").await, release);
    let status = ephor.status().await;
    let publisher = &status["publishers"][0];
    assert!(publisher["problem"]["message"].is_string() && publisher["checked"].is_null(), "{publisher}");
    // What was in force was not put in force anew: the change is recorded once.
    let entries: Vec<Value> = ephor.entries(1).await.iter().map(|line| ledger::parse(line)).collect();
    assert_eq!(entries.iter().filter(|entry| entry.get("change").is_some()).count(), 1);
    ephor.kill();
    both.bring_back();
    let ephor = both.platform("begin = \"enforce\"");
    assert_eq!(judge(&ephor, "again").await, release);
    // Without the publisher in the configuration nobody has granted it anything.
    ephor.kill();
    let ephor = Ephor::start_in(&both.path("data"), "", &[]);
    let answer = ephor.judge([event::listing("nobody", LISTED)]).await.remove(0);
    assert_eq!(answer["verdict"], "allow", "{answer}");
    let last = ephor.entries(1).await.iter().map(|line| ledger::parse(line)).rfind(|entry| entry.get("change").is_some());
    let change = last.expect("a change")["change"].clone();
    assert_eq!((event::text(&change, "what"), event::text(&change, "by")), ("remove", "configuration"), "{change}");
}

#[tokio::test(flavor = "multi_thread")]
async fn op_02_what_the_platform_withdraws_does_not_come_back_by_itself() {
    let both = Both::new();
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let start = || both.platform("begin = \"enforce\"");
    let ephor = start();
    let first = judge(&ephor, "before").await;
    let act = json!({"by": "duty officer", "reason": "it flags what it should not"}).to_string();
    ephor.act(&format!("/v1/releases/{POLICY}/withdraw"), act.clone()).await.expect(200);
    let gone = async |ephor: &Ephor, id: &str| {
        let looked = look(ephor).await.expect(200).json();
        assert_eq!(looked["swaps"], json!([]), "{looked}");
        let answer = ephor.judge([event::listing(id, LISTED)]).await.remove(0);
        assert_eq!(answer["verdict"], "allow", "{answer}");
        let refused = refused(ephor).await;
        assert!(!refused.is_empty() && refused.iter().all(|code| code == "withdrawn"), "{refused:?}");
    };
    gone(&ephor, "after a look").await;
    gone(&ephor, "after another").await;
    ephor.kill();
    let ephor = start();
    gone(&ephor, "after a restart").await;

    // A new version is looked at, and so is what is left of a policy of which one release
    // was withdrawn.
    both.release(GOOD, "1.1.0", &words(&["CIGAR", "A"]), &[]);
    look(&ephor).await.expect(200);
    let release = judge(&ephor, "a new version").await;
    assert_ne!(release, first);
    let act = json!({"by": "duty officer", "reason": "again", "release": release}).to_string();
    ephor.act(&format!("/v1/releases/{POLICY}/withdraw"), act).await.expect(200);
    gone(&ephor, "without the new version").await;
    ephor.kill();
    gone(&start(), "after another restart").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_counts_for_a_stable_share_of_the_keys() {
    let both = Both::new();
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let ephor = both.platform(&format!("begin = \"canary\"\n[publishers.{OFFICE}.gate]\ncanary-share = 0.25"));
    let of = |round: u32, subject: u32| {
        let mut event = event::listing(format!("{round}-{subject}"), LISTED);
        event["subject"] = format!("sku/{subject}").into();
        event
    };
    let mut rounds = Vec::new();
    for round in 0..2 {
        let answers = ephor.judge((0..400).map(|subject| of(round, subject))).await;
        rounds.push(answers.iter().map(|answer| answer["verdict"] == "deny").collect::<Vec<_>>());
    }
    assert_eq!(rounds[0], rounds[1], "the same keys each time");
    let share = rounds[0].iter().filter(|denied| **denied).count();
    assert!((60..140).contains(&share), "about a quarter of 400, not {share}");
    for entry in ephor.event_entries(1).await {
        let expected = if entry["verdict"] == "deny" { "canary" } else { "shadow" };
        assert_eq!(entry["asked"][0]["mode"], expected, "{entry}");
        assert_eq!(entry["asked"][0]["findings"].as_array().map(Vec::len), Some(1), "it is judged in any case: {entry}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_judged_by_the_release_of_its_time() {
    let both = Both::new();
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let ephor = both.platform("begin = \"enforce\"\nretroactive = true");
    let first = judge(&ephor, "first").await;
    let dates = ["--valid-from", "2026-02-01T00:00:00Z", "--valid-until", "2026-03-01T00:00:00Z", "--retroactive"];
    both.release(GOOD, "1.1.0", &words(&["CIGAR", "LANTERN"]), &dates);
    look(&ephor).await.expect(200);
    let at = |id: &str, time: &str| {
        let mut event = event::listing(id, LISTED);
        event["time"] = time.into();
        event
    };
    let times = ["2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z", "2026-01-31T00:00:00Z", "2026-03-01T00:00:00Z"];
    let answers = ephor.judge(times.iter().map(|time| at(time, time))).await;
    let releases: Vec<Option<&str>> =
        answers.iter().map(|answer| event::findings(answer, POLICY).next().map(|finding| event::text(finding, "release"))).collect();
    let second = releases[1].expect("the second release finds it");
    assert_ne!(second, first);
    assert_eq!(releases, [Some(first.as_str()), Some(second), Some(second), Some(first.as_str()), None]);
    let last = ephor.event_entries(1).await.pop().expect("entries");
    assert_eq!((&last["verdict"], &last["without"]), (&json!("allow"), &json!([POLICY])), "nothing was in force then: {last}");
    assert_eq!(ephor.metric("ephor_policy_blind_answers_total", "cause=\"without\""), 1.0);
    assert_eq!((ephor.metric("ephor_blind_events_total", ""), ephor.metric("ephor_blind_seconds_total", "")), (1.0, 1.0));

    // Who does not grant it is not reached back.
    let both = Both::new();
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &dates);
    let ephor = both.platform("begin = \"enforce\"");
    assert_eq!(refused(&ephor).await, ["retroactive"]);
}
