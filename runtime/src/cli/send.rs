//! `ephor send`: a file of events to a server, and what came of it.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use comfy_table::Cell;
use ephor::verdict::Decision;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::client::Target;
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
    /// Asks for answers about events with findings only. Faster; but then nothing
    /// shows here that each clean event was judged.
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
    let bar = progress(input.bytes, "");
    let sent = stream::send(&args.to, input, args.minimal, Tally::default(), on_sent(&bar), on_answers(&bar)).await;
    bar.finish_and_clear();
    let sent = sent?;
    let written = if args.json { print_json(&args, &sent) } else { print(&args, &sent) };
    written.context("cannot print the summary")?;
    verdict(&args, sent)
}

/// What the summary means for a script.
fn verdict(args: &Args, sent: Sent) -> Outcome {
    if let Some(error) = sent.lost {
        return Err(Failed { exit: Exit::Unreachable, error: error.context(format!("{} events were answered before", table::grouped(sent.tally.answered()))) });
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

/// Events without an answer, where that can be told.
fn unanswered(args: &Args, sent: &Sent) -> Option<u64> {
    (!args.minimal).then(|| sent.events.map(|events| events.saturating_sub(sent.tally.answered()))).flatten()
}

fn print(args: &Args, sent: &Sent) -> std::io::Result<()> {
    let tally = &sent.tally;
    let mut rows = table::table(&["verdict", "events"]);
    for decision in Decision::ALL {
        rows.add_row([table::decision(decision), table::number(tally.with(decision))]);
    }
    rows.add_row([Cell::new("rejected"), table::number(tally.rejected)]);
    match (sent.events, args.minimal) {
        (Some(events), true) => rows.add_row([Cell::new("sent"), table::number(events)]),
        (Some(_), false) => rows.add_row([Cell::new("not answered"), table::ought_to_be_zero(unanswered(args, sent).unwrap_or(0))]),
        (None, _) => &mut rows,
    };
    table::print(&format!("Events of {}, judged by {}", args.file.display(), args.to), &rows);
    if args.minimal {
        println!("Clean events were not answered, as asked; `allow` is not a count of them.");
    }
    tally.print_details();
    println!("\n{}", rate(args.minimal.then_some(()).and(sent.events).unwrap_or(tally.answered()), sent.elapsed));
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
        summary.insert("lost".into(), sent.lost.as_ref().map(|error| format!("{error:#}")).into());
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
