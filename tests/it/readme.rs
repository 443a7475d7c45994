//! The README's commands, run as they stand there.

use std::process::Command;

use ephor_tests::{Ephor, data, policy, settings, workspace};
use serde_json::Value;

/// Where the README's server listens.
const ADDRESS: &str = "http://127.0.0.1:8787";

/// The shell blocks of the README that speak to the server, in order.
fn blocks() -> Vec<String> {
    let text = std::fs::read_to_string(workspace().join("README.md")).expect("the README");
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.contains(ADDRESS)).map(str::to_string).collect()
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
    let [structured, binary, batch, stream, record, swap, look] = &outputs[..] else { panic!("seven blocks, not {}", outputs.len()) };
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
