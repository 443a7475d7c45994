//! `ephor send`: a file of events to a server, and what came of it.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use comfy_table::Cell;
use ephor::verdict::Decision;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::client::Target;
use super::connection::Connection;
use super::exit::{self, Exit, Failed, Outcome, failed};
use super::stream::{self, Input, Sent};
use super::tally::Tally;
use super::{local, table};

/// Streams a file of events to a server and sums up the verdicts.
///
/// The file has one CloudEvent in JSON per line. gzip and zstd are recognised by
/// their first bytes and sent as they are. Answers are read while the file is
/// still being sent.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The events; `-` for standard input.
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8787")]
    to: Target,
    #[command(flatten)]
    connection: Connection,
    /// Asks for answers about events with findings only; clean ones are then
    /// counted by the server.
    #[arg(long)]
    minimal: bool,
    /// Prints the summary as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Outcome {
    let input = Input::open(&args.file)?;
    local::block_on(send(args, input))
}

async fn send(args: Args, input: Input) -> Outcome {
    let target = args.connection.to(&args.to)?;
    let bar = progress(input.bytes, "");
    let sent = stream::send(&target, input, args.minimal, Tally::default(), on_sent(&bar), on_answers(&bar)).await;
    bar.finish_and_clear();
    let sent = sent?;
    let written = if args.json { print_json(&args, &sent) } else { print(&args, &sent) };
    written.context("cannot print the summary")?;
    verdict(&args, sent)
}

/// What the summary means for a script.
fn verdict(args: &Args, sent: Sent) -> Outcome {
    if let Some(Failed { exit, error }) = sent.ended {
        return Err(Failed { exit, error: error.context(format!("only {} events were answered", table::grouped(sent.tally.answered()))) });
    }
    if args.minimal && sent.tally.judged_in_all.is_none() {
        return Err(failed(Exit::Unreachable, "the answers ended without the server's summary, so some may be missing"));
    }
    if let Some(unanswered) = unanswered(args, &sent).filter(|count| *count > 0) {
        return Err(failed(Exit::Unreachable, format!("{} events were not answered", table::grouped(unanswered))));
    }
    if sent.tally.out_of_order > 0 {
        return Err(failed(Exit::Failed, format!("{} answers were out of order or doubled", table::grouped(sent.tally.out_of_order))));
    }
    if sent.tally.rejected > 0 {
        return Err(failed(Exit::Refused, format!("{} events were rejected", table::grouped(sent.tally.rejected))));
    }
    Ok(())
}

/// Events that got a verdict: counted, or where clean ones are left out, as the
/// server says at the end.
fn judged(args: &Args, sent: &Sent) -> u64 {
    sent.tally.judged_in_all.filter(|_| args.minimal).unwrap_or(sent.tally.judged())
}

/// Events that were neither judged nor rejected, where that can be told.
fn unanswered(args: &Args, sent: &Sent) -> Option<u64> {
    Some(sent.events?.saturating_sub(judged(args, sent) + sent.tally.rejected))
}

fn print(args: &Args, sent: &Sent) -> std::io::Result<()> {
    let tally = &sent.tally;
    let mut rows = table::table(&["verdict", "events"]);
    let allowed = tally.with(Decision::Allow);
    let not_shown = judged(args, sent).saturating_sub(tally.judged());
    for decision in Decision::ALL {
        let count = if decision == Decision::Allow { allowed + not_shown } else { tally.with(decision) };
        rows.add_row([table::decision(decision), table::number(count)]);
    }
    rows.add_row([Cell::new("rejected"), table::number(tally.rejected)]);
    if tally.duplicates > 0 {
        rows.add_row([Cell::new("of these, duplicates"), table::number(tally.duplicates)]);
    }
    if let Some(unanswered) = unanswered(args, sent) {
        rows.add_row([Cell::new("not answered"), table::ought_to_be_zero(unanswered)]);
    }
    table::print(&format!("Events of {}, judged by {}", args.file.display(), args.to), &rows);
    if args.minimal {
        println!(
            "{} clean events are counted as the server's summary has it; they were not answered one by one, as asked.",
            table::grouped(not_shown)
        );
    }
    tally.print_details();
    println!("\n{}", rate(judged(args, sent) + tally.rejected, sent.elapsed));
    std::io::stdout().flush()
}

fn print_json(args: &Args, sent: &Sent) -> std::io::Result<()> {
    let mut summary = sent.tally.to_json();
    if let Some(summary) = summary.as_object_mut() {
        summary.insert("sent".into(), sent.events.into());
        summary.insert("bytes".into(), sent.bytes.into());
        summary.insert("not_answered".into(), unanswered(args, sent).into());
        summary.insert("minimal".into(), args.minimal.into());
        summary.insert("seconds".into(), sent.elapsed.as_secs_f64().into());
        summary.insert("judged".into(), judged(args, sent).into());
        summary.insert("ended_early".into(), sent.ended.as_ref().map(|failed| format!("{:#}", failed.error)).into());
    }
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &summary)?;
    writeln!(out)
}

/// Events per second, in words.
pub fn rate(events: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let per_second = if seconds > 0.0 { events as f64 / seconds } else { 0.0 };
    format!("{} events in {seconds:.2} s: {} events per second", table::grouped(events), table::grouped(per_second as u64))
}

/// A bar for a file whose length is known, a spinner otherwise; nothing where
/// standard error is no terminal.
pub fn progress(bytes: Option<u64>, name: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr_with_hz(10));
    let template = match bytes {
        Some(_) => "{prefix}{wide_bar:.cyan/dim} {binary_bytes} of {binary_total_bytes}  {msg}",
        None => "{prefix}{spinner:.cyan} {binary_bytes}  {msg}",
    };
    bar.set_style(ProgressStyle::with_template(template).expect("the templates are constants of this file"));
    bar.set_prefix(if name.is_empty() { String::new() } else { format!("{name:<10} ") });
    bar
}

/// Moves the bar with the bytes that leave.
pub fn on_sent(bar: &ProgressBar) -> impl Fn(u64) + Send + 'static {
    let bar = bar.clone();
    move |bytes| bar.inc(bytes)
}

/// Shows the events judged so far, ten times a second.
pub fn on_answers(bar: &ProgressBar) -> impl FnMut(&Tally) + use<> {
    let bar = bar.clone();
    let mut shown: Option<Instant> = None;
    move |tally| {
        if shown.is_none_or(|at| at.elapsed() >= Duration::from_millis(100)) {
            shown = Some(Instant::now());
            bar.set_message(format!("{} judged", table::grouped(tally.answered())));
        }
    }
}
