//! `target/BENCH.md`: the tables of a run, and behind them what people wrote, which stays.
//! `make bench-update` takes it over into the repository.

use std::path::PathBuf;

use ephor_tests::{target_dir, workspace};
use serde_json::Value;

use crate::report::{self, Row, short};

/// Where what is made ends. What stands behind it is kept.
const END: &str = "<!-- Made by `make bench` up to here; what follows is written by hand and kept. -->";

/// Peers that were measured over HTTP outside of this project; quoted.
const QUOTED: &str = "\
Measured outside of this project (November 2026) on a virtual machine of two cores, one event per POST, server and client (wrk) \
on the same cores, medians of three runs of 15 seconds, rule and orders as above. None of these servers writes a record.

| server | 1 connection | 16 | 64 | of the native server's, at 64 | server CPU per request | p99 at 64 | resident |
|---|---|---|---|---|---|---|---|
| Kubewarden policy-server (main of 2026-01-02, two workers, raw policy built for wasm32-wasip1) | 2,257/s | 4,248/s | 3,457/s | 0.033 | 0.36–0.41 ms | 35 ms | 39 MB |
| OPA, REST data API, same rule in Rego | 5,262/s | 12,477/s | 13,660/s | 0.13 | 0.12 ms | 20 ms | 41 MB |
| hyper 1, answer without reading the event | 9,099/s | 156,477/s | 157,255/s | 1.5 | 0.006 ms | 0.7 ms | 4 MB |
| hyper 1 with serde_json and the rule in native Rust | 8,603/s | 97,440/s | 106,310/s | 1 | 0.009 ms | 1.2 ms | 4 MB |
";

fn machine_text(machine: &Value) -> String {
    let text = |name: &str| machine[name].to_string().trim_matches('"').to_string();
    format!(
        "{} cores of {}, {} GiB of memory, Linux {}; load before the end {}. Ephor {} at {}, rustc {}, wasmtime {}, hyper {}.\n",
        text("cores"),
        text("cpu"),
        text("memory_gib"),
        text("kernel"),
        text("load"),
        text("ephor"),
        text("commit"),
        text("rustc"),
        text("wasmtime"),
        text("hyper"),
    )
}

fn peers_text(peers: &Value) -> String {
    let mut text = String::from(
        "| engine | version | licence | ns per event | of native's rate | in the measured part |\n|---|---|---|---|---|---|\n",
    );
    for peer in peers.as_array().into_iter().flatten() {
        let word = |name: &str| peer[name].as_str().unwrap_or_default();
        let figure = |name: &str| short(peer[name].as_f64().unwrap_or_default());
        let (ns, share) = (figure("ns"), figure("share"));
        let cells = [word("name"), word("version"), word("licence"), &ns, &share, word("measured")];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

/// Writes it, with what is written by hand in the repository's; says where.
pub(crate) fn write(rows: &[Row], machine: &Value, peers: &Value) -> PathBuf {
    let kept = std::fs::read_to_string(workspace().join("BENCH.md")).unwrap_or_default();
    let kept = kept.split_once(END).map_or("\n", |(_, kept)| kept);
    let text = format!(
        "# What it costs, measured\n\n\
         Every figure is a ratio to a yardstick that ran in turns with it, or stands beside one; the median of the rounds, and in between \
         which their middle half is. `make bench` measures on your machine; `make bench-update` puts what it measured here.\n\n\
         {}\n## Goals\n\n{}\n## Other engines, the same rule on the same orders\n\n\
         A list of 50 categories and a limit, on orders of some 500 bytes of JSON; one event after the other on one thread, in one process \
         with the same rule native (an owned struct by serde, then the rule). All find the same orders to reject. Ephor is given each order \
         in a CloudEvent, the others are given it bare.\n\n{}\n{QUOTED}\n{END}{kept}",
        machine_text(machine),
        report::markdown(rows),
        peers_text(peers),
    );
    let path = target_dir().join("BENCH.md");
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}
