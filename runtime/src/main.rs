//! `ephor`: arguments → tracing → the verb → an exit code.
//!
//! Each verb is a file in `cli/`. Nothing here knows how policies are run or
//! how events travel; the verbs call the library.

#![expect(clippy::print_stdout, reason = "tables on standard output are what the verbs are for; the log is on standard error")]

mod cli;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use cli::exit;
use ephor::telemetry::log;

/// Supervision rules as small WebAssembly programs, run beside a platform's own
/// event stream.
#[derive(Parser)]
#[command(name = "ephor", version, after_help = exit::help(), max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Takes events over HTTP and answers each with a verdict.
    Serve(cli::serve::Args),
    /// Streams a file of events to a server and sums up the verdicts.
    Send(cli::send::Args),
    /// Serves, streams files of events, swaps a policy in mid-stream, and counts.
    Demo(cli::demo::Args),
    // A sentence here would be shown in the place of all that its file says.
    Bench(cli::bench::Args),
    /// Shows what can be configured, and what is wrong with a configuration.
    #[command(subcommand)]
    Config(cli::config::Verb),
    /// Gives out events as they were sent, where they are kept; erases their content. Says
    /// what sample events look like, and makes test events that look the same.
    #[command(subcommand)]
    Events(cli::events::Verb),
    /// Runs archived events through the spine again: to check a ledger, or for a back-test.
    Replay(cli::replay::Args),
    /// Makes policies, tests them, builds them and looks into them.
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// Makes reference lists of tables, compares them, looks things up in them.
    #[command(subcommand)]
    List(cli::list::Verb),
    /// Turns rules that somebody published in a format of their own into settings of a policy.
    #[command(subcommand)]
    Import(cli::import::Verb),
    /// Says what publishers were granted, and what their policies ask for.
    #[command(subcommand)]
    Grant(cli::grant::Verb),
    /// Checks a log, proves what is in it, compares its checkpoints, reads its entries.
    #[command(subcommand)]
    Log(cli::log::Verb),
    /// Moves components to and from OCI registries.
    #[command(subcommand)]
    Package(cli::package::Verb),
    /// Makes and edits a repository of signed releases; checks one.
    #[command(subcommand)]
    Repo(cli::repo::Verb),
    /// Says how releases stand on a server; promotes, demotes or withdraws them.
    #[command(subcommand)]
    Release(cli::release::Verb),
    /// Shows what a server judges with, since when, and how its publishers stand.
    Status(cli::status::Args),
    /// Makes bearer tokens, and takes them away again.
    #[command(subcommand)]
    Token(cli::token::Verb),
    /// Makes certificates of one's own: for a server, and for clients that it knows.
    #[command(subcommand)]
    Tls(cli::tls::Verb),
    // A sentence here would be shown in the place of all that its file says.
    Openapi(cli::openapi::Args),
    /// Watches over a log: checks that it only grows, and co-signs its checkpoints.
    Witness(cli::witness::Args),
    // A sentence here would be shown in the place of all that their files say.
    Completions(cli::completions::Args),
    Man(cli::man::Args),
}

#[derive(Subcommand)]
enum PolicyVerb {
    /// Makes the crate of a new policy, which compiles, and whose tests pass.
    New(cli::policy_new::Args),
    /// Holds a policy against its vectors: natively, and as a component.
    Test(cli::policy_test::Args),
    // A sentence here would be shown in the place of all that their files say.
    Watch(cli::policy_watch::Args),
    Run(cli::policy_run::Args),
    Explain(Box<cli::policy_explain::Args>),
    Bench(cli::policy_bench::Args),
    Lint(cli::policy_lint::Args),
    Build(cli::policy_build::Args),
    /// Shows what a component says about itself.
    Inspect(cli::policy_inspect::Args),
}

fn main() -> ExitCode {
    // The runtime starts this program again to compile a component in a process
    // that it can throw away. Standard output is that process's answer, so
    // nothing may be set up before.
    if std::env::args_os().nth(1).is_some_and(|verb| verb == "compile-worker") {
        return ephor::sandbox::worker::main();
    }
    let cli = Cli::parse();
    end_quietly_without_readers();
    // A server's log is its output, as its configuration says; the other verbs print tables
    // and stay quiet.
    if !matches!(cli.verb, Verb::Serve(_)) {
        log::set_up(&log::Settings { level: "warn".into(), ..log::Settings::default() }, true);
    }
    let outcome = match cli.verb {
        Verb::Serve(args) => cli::serve::run(args),
        Verb::Send(args) => cli::send::run(args),
        Verb::Demo(args) => cli::demo::run(args),
        Verb::Bench(args) => cli::bench::run(&args),
        Verb::Config(verb) => cli::config::run(&verb),
        Verb::Events(verb) => cli::events::run(&verb),
        Verb::Replay(args) => cli::replay::run(&args),
        Verb::Policy(PolicyVerb::New(args)) => cli::policy_new::run(&args),
        Verb::Policy(PolicyVerb::Test(args)) => cli::policy_test::run(&args),
        Verb::Policy(PolicyVerb::Watch(args)) => cli::policy_watch::run(&args),
        Verb::Policy(PolicyVerb::Run(args)) => cli::policy_run::run(&args),
        Verb::Policy(PolicyVerb::Explain(args)) => cli::policy_explain::run(&args),
        Verb::Policy(PolicyVerb::Bench(args)) => cli::policy_bench::run(&args),
        Verb::Policy(PolicyVerb::Lint(args)) => cli::policy_lint::run(&args),
        Verb::Policy(PolicyVerb::Build(args)) => cli::policy_build::run(&args),
        Verb::Policy(PolicyVerb::Inspect(args)) => cli::policy_inspect::run(&args),
        Verb::List(verb) => cli::list::run(&verb),
        Verb::Import(verb) => cli::import::run(&verb),
        Verb::Grant(verb) => cli::grant::run(&verb),
        Verb::Log(verb) => cli::log::run(verb),
        Verb::Package(verb) => cli::package::run(verb),
        Verb::Repo(verb) => cli::repo::run(verb),
        Verb::Release(verb) => cli::release::run(&verb),
        Verb::Status(args) => cli::status::run(&args),
        Verb::Token(verb) => cli::token::run(&verb),
        Verb::Tls(verb) => cli::tls::run(&verb),
        Verb::Openapi(args) => cli::openapi::run(&args),
        Verb::Witness(args) => cli::witness::run(args),
        Verb::Completions(args) => cli::completions::run(&args, Cli::command()),
        Verb::Man(args) => cli::man::run(&args, Cli::command()),
    };
    match outcome {
        Ok(()) => exit::Exit::Ok.into(),
        Err(failed) => {
            eprintln!("ephor: {:#}", failed.error);
            failed.exit.into()
        }
    }
}

/// Ends as other programs do when whoever reads the output has seen enough (`| head`),
/// instead of with a panic.
fn end_quietly_without_readers() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>().map(String::as_str).unwrap_or_default();
        if text.starts_with("failed printing to stdout") && text.contains("Broken pipe") {
            // 128 and the number of SIGPIPE.
            std::process::exit(141);
        }
        report(panic);
    }));
}
