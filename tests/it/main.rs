//! The whole, from outside: the real binary, real HTTP, real guests, real data.
//! `make test` builds what these need.

mod access;
mod api;
mod author_errors;
mod backtest;
mod bad_input;
mod bench;
mod bodies;
mod book;
mod cache;
mod cli;
mod clock;
mod cold;
mod complete;
mod config;
mod coverage;
mod determinism;
mod disk;
mod embed;
mod events_infer;
mod follow;
mod fuzz;
mod gate;
mod grants;
mod h2_abuse;
mod handmade;
mod hostile;
mod import;
mod journey;
mod kill;
mod languages;
mod library;
mod limits;
mod lists;
mod loaded;
mod log;
mod migrate;
mod modes;
mod once;
mod operations;
mod outgoing;
mod package;
mod page;
mod page_backtest;
mod page_event;
mod page_map;
mod page_policy;
mod page_subject;
mod page_views;
mod parser;
mod policy_bench;
mod policy_explain;
mod policy_lint;
mod policy_new;
mod policy_run;
mod policy_test;
mod policy_watch;
mod privacy;
mod projection;
mod publishers;
mod raw_events;
mod readme;
mod replay;
mod repository;
mod schemathesis;
mod smith;
mod soak;
mod stateful;
mod suites;
mod supply_chain;
mod swap;
mod system_calls;
mod table_policy;
mod telemetry;
mod tidy;
mod tls;
mod truth;
mod under_load;
mod unsynced;
mod verdict_events;

/// The policy that stands beside hostile ones and must not notice, and an
/// event that it finds something in.
const GOOD: &str = "negative-list";
const LISTED: &str = "BOX OF CIGAR";

/// A server with the good policy in force.
async fn with_good_policy(config: &str) -> ephor_tests::Ephor {
    let ephor = ephor_tests::Ephor::start_with(config, &[]);
    ephor.put(GOOD, &ephor_tests::policy(GOOD), &ephor_tests::settings(GOOD)).await.succeeded();
    ephor
}
