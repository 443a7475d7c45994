//! What the ladder holds the runtime against over HTTP, and the client of both, each in a
//! process of its own and without a line of Ephor in it:
//!
//! - `yardstick hello`: a hyper server that answers without reading anything;
//! - `yardstick rule SETTINGS`: one with the rule of the peers built in, native: it parses
//!   each event and answers with a verdict, and keeps no record;
//! - `yardstick parse`: one that parses the lines that it is sent, and counts them;
//! - `yardstick singles|stream …`: the client.
//!
//! A server prints where it listens, a client its figures as JSON.
#![expect(clippy::print_stdout, reason = "addresses and figures are what this program is for")]

mod client;
mod documents;
#[path = "../peers/src/rule.rs"]
mod rule;
mod servers;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    match words.as_slice() {
        ["hello"] => threads.block_on(servers::hello()),
        ["rule", settings] => threads.block_on(servers::rule(settings)),
        ["parse"] => threads.block_on(servers::parse()),
        ["singles", address, orders, connections, seconds, prefix] => {
            threads.block_on(client::singles(address, orders, connections, seconds, prefix));
        }
        ["stream", address, orders, connections, events, prefix] => {
            threads.block_on(client::stream(address, orders, connections, events, prefix));
        }
        _ => {
            eprintln!("usage: yardstick hello | rule SETTINGS | parse | singles|stream ADDRESS ORDERS CONNECTIONS SECONDS|EVENTS PREFIX");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
