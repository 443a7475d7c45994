//! The README's commands, run as they stand there.

use std::process::{Command, Stdio};

use ephor_tests::{Ephor, binary, data, documents, policy, settings, target_dir, workspace};
use serde_json::Value;

/// Where the README's server listens.
const ADDRESS: &str = "http://127.0.0.1:8787";

/// Before the blocks of the README that lead to a server of one's own.
const MARK: &str = "<!-- server -->\n```sh\n";

/// The shell blocks of the README that speak to the server, in order.
fn blocks() -> Vec<String> {
    documents::blocks("README.md", "```sh\n").into_iter().filter(|block| block.contains(ADDRESS)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_readme_work() {
    if std::env::var("EPHOR_WITHOUT_CURL").as_deref() == Ok("1") {
        return data::left_out("the commands of the README", "EPHOR_WITHOUT_CURL=1");
    }
    let ephor = Ephor::start(&[]);
    for name in ["geofence", "fleet-cap", "negative-list"] {
        ephor.put(name, &policy(name), &settings(name)).await.succeeded();
    }
    let mut outputs = Vec::new();
    for block in blocks() {
        let script = block.replace(ADDRESS, &ephor.url(""));
        let output = Command::new("sh").args(["-euc", &script]).current_dir(workspace()).output().expect("a shell");
        let text = String::from_utf8(output.stdout).expect("answers in UTF-8");
        assert!(output.status.success(), "{script}\n{text}{}", String::from_utf8_lossy(&output.stderr));
        outputs.push(text);
    }
    let [structured, binary, batch, stream, swap, look, record] = &outputs[..] else { panic!("seven blocks, not {}", outputs.len()) };
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    for answer in [&json(structured), &json(binary), &json(batch)[0]] {
        assert_eq!(answer["verdict"], "deny", "{answer}");
    }
    assert_eq!(json(batch)[1]["verdict"], "allow");
    assert!(stream.lines().count() > 1_500 && stream.contains("\"summary\""), "{} lines", stream.lines().count());
    let denied = record.lines().filter(|line| line.contains("\"verdict\":\"deny\"")).count();
    // Behind the entries of the three policies.
    assert!(denied >= 3 && record.lines().next().is_some_and(|line| json(line)["sequence"] == 4), "{record}");
    assert_eq!(json(swap)["policy"], "negative-list");
    assert!(look.contains("ephor_events_total"), "{look}");
}

/// From a folder with what `make demo` has built to a server with TLS, tokens, a rule and a
/// client's certificate.
#[test]
fn the_readme_leads_to_a_server_of_ones_own() {
    if std::env::var("EPHOR_WITHOUT_CURL").as_deref() == Ok("1") {
        return data::left_out("the README's way to a server of one's own", "EPHOR_WITHOUT_CURL=1");
    }
    let blocks = documents::blocks("README.md", MARK);
    assert_eq!(blocks.len(), 7, "blocks of the README with the mark");
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    std::fs::create_dir_all(here.join("target/release")).expect("folders");
    std::os::unix::fs::symlink(binary(), here.join("target/release/ephor")).expect("a link");
    std::os::unix::fs::symlink(target_dir().join("policies"), here.join("target/policies")).expect("a link");
    let port = crate::journey::free_port().to_string();
    // What each block says apart, all of them in one shell.
    let blocks: Vec<String> = blocks.iter().map(|block| format!("{block}\nprintf '\\0'\n")).collect();
    let script = format!("trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n{}", blocks.join("").replace("8791", &port));
    let shell = Command::new("bash").args(["-euc", &script]).current_dir(here).env_remove("EPHOR_TOKEN").stdin(Stdio::null()).output();
    let shell = shell.expect("a shell");
    let (out, err) = (String::from_utf8_lossy(&shell.stdout), String::from_utf8_lossy(&shell.stderr));
    let log = std::fs::read_to_string(here.join("target/server/serve.log")).unwrap_or_default();
    assert!(shell.status.success(), "{out}\n{err}\n{log}");
    let said: Vec<&str> = out.split('\0').collect();
    let [_, published, _, ready, answers, look, certificate, _] = said[..] else { panic!("{out}\n{err}\n{log}") };
    for (what, parts) in [
        (published, &["Published version 1.0.0 of market-office/negative-list"][..]),
        (ready, &["nothing is wrong", "\"ready\":true"]),
        (answers, &["\"verdict\":\"deny\"", "the listed word CIGAR", "\"status\":401"]),
        (look, &["market-office/negative-list", "enforce", "Nothing is wrong with it."]),
        (certificate, &["\"ready\":true", "deny", "negative-list"]),
    ] {
        for part in parts {
            assert!(what.contains(part), "{part:?} in\n{what}\n{err}\n{log}");
        }
    }
}
