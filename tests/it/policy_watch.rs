//! `ephor policy watch`: what an author sees while a policy is broken and mended.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use ephor_tests::{PATIENCE, binary, terminate};

use crate::policy_new::{command, ephor, said, sdk, target};

/// A name that no other test builds: nothing of this policy may come to where components go.
const NAME: &str = "new-watched";

/// A running `ephor policy watch`, ended with the value.
struct Watch {
    child: Child,
    lines: Receiver<String>,
    said: String,
}

impl Watch {
    /// Watches a crate; what is temporary goes into a folder of the test's.
    fn start(own: &Path, temporary: &Path) -> Watch {
        let mut command = command(binary().into(), own, &["policy", "watch"]);
        command.env("TMPDIR", temporary).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let (sender, lines) = channel();
        pass_on(child.stdout.take().expect("a pipe"), sender.clone());
        pass_on(child.stderr.take().expect("a pipe"), sender);
        Watch { child, lines, said: String::new() }
    }

    /// Waits until all of this was said since the last time, in any order, for it comes on
    /// two ways; gives what was said.
    #[track_caller]
    fn hear(&mut self, parts: &[&str]) -> String {
        let (begin, from) = (Instant::now(), self.said.len());
        while !parts.iter().all(|part| self.said[from..].contains(part)) {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(begin.elapsed())) {
                Ok(line) => {
                    self.said.push_str(&line);
                    self.said.push('\n');
                }
                Err(RecvTimeoutError::Timeout) => panic!("waited {PATIENCE:?} for {parts:?}\n{}", self.said),
                Err(RecvTimeoutError::Disconnected) => panic!("it has ended, without {parts:?}\n{}", self.said),
            }
        }
        self.said[from..].to_string()
    }

    /// Asks it to stop, and says how it ended.
    #[track_caller]
    fn stop(mut self) -> ExitStatus {
        terminate(&self.child).expect("SIGTERM is sent");
        self.ended(PATIENCE).unwrap_or_else(|| panic!("waited {PATIENCE:?} until it stops\n{}", self.said))
    }

    fn ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        let begin = Instant::now();
        loop {
            match self.child.try_wait().expect("the status of the own child") {
                Some(status) => return Some(status),
                None if begin.elapsed() > patience => return None,
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

/// Of a test that has failed: asked first, so that it ends what it has started itself.
impl Drop for Watch {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = terminate(&self.child);
            if self.ended(Duration::from_secs(5)).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}

/// Sends what a program prints on, line by line.
fn pass_on(from: impl Read + Send + 'static, to: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
}

/// Changes a file in one step, as editors do it.
#[track_caller]
fn change(own: &Path, file: &str, from: &str, to: &str) {
    let path = own.join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert!(text.contains(from), "{from} in {file}:\n{text}");
    // What is hidden is not looked at.
    let draft = path.with_file_name(".draft");
    std::fs::write(&draft, text.replacen(from, to, 1)).expect("a draft");
    std::fs::rename(&draft, &path).expect("the draft gets its name");
}

#[test]
fn what_is_saved_is_built_and_tested_until_it_is_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let temporary = folder.path().join("temporary");
    std::fs::create_dir(&temporary).expect("a folder");
    said(&ephor(folder.path(), &["policy", "new", NAME, "--sdk", &sdk()]), 0);
    let own = folder.path().join(NAME);
    let (vector, right, wrong) = ("vectors/above.json", r#""amount": "10001""#, r#""amount": "10002""#);

    // Ended while it builds, which it has hardly begun.
    let mut watch = Watch::start(&own, folder.path());
    watch.hear(&["watching"]);
    assert_eq!(watch.stop().code(), Some(0));

    // The SDK is built here; everything from now on is soon.
    said(&ephor(&own, &["policy", "watch", "--once"]), 0);
    let mut watch = Watch::start(&own, &temporary);
    let first = watch.hear(&[" OK: "]);
    assert!(first.contains("3 vector files, 7 events: all as expected"), "{first}");
    let line = first.lines().last().unwrap_or_default();
    assert!(line.contains(" OK: build ") && line.contains(" s, vectors ") && line.ends_with(" s"), "{line}");
    assert!(line.starts_with(|first: char| first.is_ascii_digit()), "the time of day: {line}");

    change(&own, vector, right, wrong);
    let broken = watch.hear(&[" failed: ", "ephor: 1 of 3 vector files failed"]);
    assert!(broken.contains("vectors/above.json:9:5: event 0") && broken.contains("10001") && broken.contains("10002"), "{broken}");
    change(&own, vector, wrong, right);
    watch.hear(&[" OK: "]);

    // What does not compile does not end it either.
    change(&own, "src/lib.rs", "limit: i64", "limit: i65");
    watch.hear(&[" failed: ", "`i65`", "does not compile; cargo says why above"]);
    change(&own, "src/lib.rs", "limit: i65", "limit: i64");
    watch.hear(&[" OK: "]);

    assert_eq!(watch.stop().code(), Some(0));
    let left: Vec<_> = std::fs::read_dir(&temporary).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
    // What is published is made by `policy build` alone.
    assert!(!target().join("policies").join(NAME).with_extension("wasm").exists());
}

#[test]
fn a_single_round_ends_as_a_test_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = "new-watched-once";
    said(&ephor(folder.path(), &["policy", "new", name, "--sdk", &sdk()]), 0);
    let own = folder.path().join(name);
    let round = said(&ephor(&own, &["policy", "watch", "--once", "--native"]), 0);
    for part in ["all as expected", "natively: cargo test", " OK: build ", ", native tests "] {
        assert!(round.contains(part), "{part:?} in\n{round}");
    }
    change(&own, "settings.json", "10000", "-1");
    let refused = said(&ephor(&own, &["policy", "watch", "--once", "--native"]), 3);
    assert!(refused.contains("the crate's own tests fail"), "{refused}");
    change(&own, "settings.json", "-1", "10000");
    change(&own, "vectors/within.json", "    [],\n", "    {\"undecided\": \"never\"},\n");
    let refused = said(&ephor(folder.path(), &["policy", "watch", "--once", name]), 3);
    assert!(refused.contains("1 of 3 vector files failed") && refused.contains("ephor policy test --update"), "{refused}");
    change(&own, "src/lib.rs", "limit: i64", "limit: i65");
    said(&ephor(&own, &["policy", "watch", "--once"]), 1);
    for args in [&["policy", "watch"][..], &["policy", "watch", "--once"]] {
        assert!(said(&ephor(folder.path(), args), 2).contains("has no Cargo.toml"));
    }
}
