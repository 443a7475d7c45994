//! The verbs of the command line, one file each, and what they share.

pub mod completions;
pub mod config;
pub mod demo;
pub mod events;
pub mod grant;
pub mod import;
pub mod list;
pub mod log;
pub mod man;
pub mod package;
pub mod policy_bench;
pub mod policy_build;
pub mod policy_explain;
pub mod policy_inspect;
pub mod policy_lint;
pub mod policy_new;
mod policy_parts;
pub mod policy_run;
pub mod policy_test;
pub mod policy_watch;
pub mod release;
pub mod replay;
pub mod repo;
pub mod send;
pub mod serve;
pub mod status;
pub mod witness;

mod client;
pub mod exit;
mod files;
mod follow;
mod local;
mod reload;
mod stream;
mod table;
mod tally;
