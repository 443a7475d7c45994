//! `ephor demo`: a server, files of events over real sockets, a swap in
//! mid-stream, and a count of what came back.
//!
//! Every number in the tables is counted from answers or, for what was sent,
//! from the lines that left.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use comfy_table::Cell;
use ephor::Runtime;
use ephor::ledger::verify;
use ephor::server::{Options, Server};
use ephor::verdict::Decision;
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::client::{Client, Target};
use super::exit::{self, Exit, Failed, Or as _, Outcome, failed};
use super::follow::Folder;
use super::send::{on_answers, on_sent, progress, rate};
use super::stream::{self, Input, Sent};
use super::tally::Tally;
use super::{local, table};

/// The policy that is swapped when nothing else is said, the list in its
/// settings, and the word that is added.
const SWAPPED_POLICY: &str = "negative-list";
const SWAPPED_LIST: &str = "words";
const ADDED_WORD: &str = "LANTERN";

/// Serves, streams files of events, swaps a policy in mid-stream, and counts.
///
/// Everything happens on this machine: a server in this process, one connection
/// per file, and one for the swap.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// Folder of policies, as `ephor policy build` makes it.
    #[arg(long, value_name = "DIR")]
    policies: PathBuf,
    /// Files of events, one CloudEvent in JSON per line, plain or gzip; all are
    /// streamed at the same time.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    events: Vec<PathBuf>,
    /// The policy that gets new settings when half of the last file has been
    /// judged [default: negative-list, with one word more than in the folder].
    #[arg(long, value_name = "NAME=SETTINGS.json")]
    swap: Option<String>,
    /// Address to serve on; loopback only.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where compiled code is kept [default: $XDG_CACHE_HOME/ephor or
    /// ~/.cache/ephor].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// A change of settings in mid-stream.
struct Plan {
    policy: String,
    settings: Vec<u8>,
    /// What is new about them.
    change: String,
}

/// The server's answer to it.
#[derive(Debug, Deserialize)]
struct Swapped {
    release: String,
    replaced: Option<String>,
    sequence: u64,
    state: Option<String>,
}

pub fn run(args: Args) -> Outcome {
    if !args.listen.ip().is_loopback() {
        return Err(failed(Exit::Usage, "the demo takes unsigned policies, so it serves on a loopback address only"));
    }
    local::block_on(demo(args))
}

async fn demo(args: Args) -> Outcome {
    let config = local::config(None)?;
    let data = tempfile::tempdir().context("cannot make a folder for the ledger")?;
    let runtime = local::runtime(&config, args.cache.clone(), Some(data.path().to_path_buf()))?;
    let first = load(&runtime, &args.policies).await?;
    let plan = plan(&args, &runtime)?;
    let server = Server::bind(
        args.listen,
        runtime.clone(),
        config.server.clone(),
        Options { dev: true, ingest: config.ingest.clone(), ..Options::default() },
    )
    .await
    .with_context(|| format!("cannot listen on {}", args.listen))?;
    let target: Target = format!("http://{}", server.local_addr()).parse().map_err(anyhow::Error::msg)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    wait_until_ready(&target).await?;

    let begun = Instant::now();
    let (sent, swapped) = stream_all(&args, &target, plan.as_ref()).await?;
    let elapsed = begun.elapsed();

    let _ = stop.send(());
    serving.await.context("the server panicked")?;
    runtime.close().await;
    let outcome = report(&args, sent, plan.as_ref().zip(swapped.as_ref()), elapsed);
    let begun = Instant::now();
    let checked = verify::verify(data.path());
    println!("\nThe ledger, checked from its files alone in {:.2} s:\n  {checked}", begun.elapsed().as_secs_f64());
    look_further(&args, &first);
    outcome?;
    match checked.is_clean() {
        true => Ok(()),
        false => Err(failed(Exit::Failed, "the ledger is not as it should be")),
    }
}

/// Loads the folder's policies and shows what is in force; returns the first
/// one's name.
async fn load(runtime: &Runtime, folder: &Path) -> Outcome<String> {
    let begun = Instant::now();
    let outcomes = Folder::new(folder.to_path_buf())
        .load(runtime)
        .await
        .with_context(|| format!("cannot read the policies in {}", folder.display()))
        .or_exit(Exit::Usage)?;
    for (name, outcome) in &outcomes {
        if let Err(problem) = outcome {
            return Err(failed(Exit::Refused, format!("policy {name}: {problem}")));
        }
    }
    if outcomes.is_empty() {
        return Err(failed(Exit::Usage, format!("no policies in {}; build some with `ephor policy build`", folder.display())));
    }
    let mut rows = table::table(&["policy", "release", "what it does"]);
    for standing in runtime.policies() {
        let manifest = &standing.release.manifest;
        rows.add_row([table::plain(&manifest.name), table::plain(&standing.release.id), table::plain(&manifest.summary)]);
    }
    table::print(&format!("Policies in force, loaded in {:.2} s", begun.elapsed().as_secs_f64()), &rows);
    Ok(outcomes.into_iter().next().map(|(name, _)| name).unwrap_or_default())
}

/// What is to be swapped: as asked for, or one word more in the negative list.
fn plan(args: &Args, runtime: &Runtime) -> Outcome<Option<Plan>> {
    if let Some(swap) = &args.swap {
        let (policy, file) =
            swap.split_once('=').ok_or_else(|| failed(Exit::Usage, format!("--swap {swap}: write it as NAME=SETTINGS.json")))?;
        let settings = std::fs::read(file).with_context(|| format!("cannot read {file}")).or_exit(Exit::Usage)?;
        return Ok(Some(Plan { policy: policy.into(), settings, change: format!("the settings in {file}") }));
    }
    if !runtime.policies().iter().any(|standing| standing.release.policy() == SWAPPED_POLICY) {
        println!("\nNo policy {SWAPPED_POLICY} here and no --swap given, so nothing is swapped.");
        return Ok(None);
    }
    let file = args.policies.join(format!("{SWAPPED_POLICY}.settings.json"));
    let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let settings = with_one_word_more(&text).with_context(|| format!("cannot change {}", file.display()))?;
    Ok(Some(Plan { policy: SWAPPED_POLICY.into(), settings, change: format!("the word {ADDED_WORD} added") }))
}

/// The settings with a word more, in the form that the other words have.
fn with_one_word_more(settings: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut settings: serde_json::Value = serde_json::from_slice(settings)?;
    let Some(words) = settings.get_mut(SWAPPED_LIST).and_then(|words| words.as_array_mut()) else {
        bail!("it has no list {SWAPPED_LIST:?}");
    };
    ensure!(words.iter().all(serde_json::Value::is_string), "its list {SWAPPED_LIST:?} is not of words");
    ensure!(!words.iter().any(|word| word == ADDED_WORD), "its list {SWAPPED_LIST:?} has {ADDED_WORD} already");
    words.push(ADDED_WORD.into());
    Ok(serde_json::to_vec(&settings)?)
}

/// Asks as any orchestrator would.
async fn wait_until_ready(target: &Target) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = match Client::connect(target).await {
            Ok(mut client) => client.exchange("GET", "/readyz", &[], Bytes::new()).await,
            Err(failed) => Err(failed),
        };
        match answer {
            Ok(_) => return Ok(()),
            Err(failed) if Instant::now() > deadline => return Err(failed),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Streams every file on its own connection; swaps when half of the last file
/// has been answered. Its last quarter waits for the swap, which on a small file
/// would otherwise come after the last event.
async fn stream_all(args: &Args, target: &Target, plan: Option<&Plan>) -> Outcome<(Vec<(String, Sent)>, Option<Swapped>)> {
    println!("\nStreaming {} to {target} …", args.events.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" and "));
    let _ = std::io::stdout().flush();
    let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
    let (half_done, half) = oneshot::channel();
    let (gate, gated) = std::sync::mpsc::channel();
    let mut gated = Some(gated);
    let mut half_done = Some(half_done);
    let mut streams: JoinSet<Outcome<(usize, String, Sent)>> = JoinSet::new();
    for (index, file) in args.events.iter().enumerate() {
        let name = name_of(file);
        let is_last = index + 1 == args.events.len();
        let mut input = Input::open(file).or_exit(Exit::Usage)?;
        if plan.is_some()
            && is_last
            && let Some(gated) = gated.take()
        {
            input = input.holding_back(gated);
        }
        let bar = bars.add(progress(input.bytes, &name));
        let (mut signal, threshold) = match plan {
            Some(_) if is_last => (half_done.take(), half_of(file)?),
            _ => (None, u64::MAX),
        };
        let target = target.clone();
        streams.spawn(async move {
            let mut show = on_answers(&bar);
            let answered = |tally: &Tally| {
                show(tally);
                if tally.answered() >= threshold
                    && let Some(signal) = signal.take()
                {
                    let _ = signal.send(());
                }
            };
            let sent = stream::send(&target, input, false, Tally::keeping_sequences(), on_sent(&bar), answered).await;
            bar.finish_and_clear();
            Ok((index, name, sent?))
        });
    }
    drop(half_done);
    let swapped = match plan {
        // The signal's sender is dropped unsent if the stream fails; the stream
        // says why.
        Some(plan) if half.await.is_ok() => Some(swap(target, plan).await?),
        _ => None,
    };
    drop(gate);
    let mut all = Vec::new();
    while let Some(stream) = streams.join_next().await {
        all.push(stream.context("a stream panicked")??);
    }
    all.sort_by_key(|(index, ..)| *index);
    Ok((all.into_iter().map(|(_, name, sent)| (name, sent)).collect(), swapped))
}

/// Half of the events of a file, counted beforehand.
fn half_of(file: &Path) -> Outcome<u64> {
    let count = Input::open(file)?.count().with_context(|| format!("cannot count the events of {}", file.display()))?;
    let count = count.ok_or_else(|| {
        failed(Exit::Usage, format!("{} is zstd, whose events are not counted here; give it as gzip or plain", file.display()))
    })?;
    Ok((count / 2).max(1))
}

async fn swap(target: &Target, plan: &Plan) -> Outcome<Swapped> {
    let mut client = Client::connect(target).await?;
    let path = format!("/v1/policies/{}", plan.policy);
    let answer = client.exchange("PUT", &path, &[("content-type", "application/json")], plan.settings.clone().into()).await?;
    Ok(serde_json::from_slice(&answer).with_context(|| format!("cannot read the answer to PUT {path}"))?)
}

fn name_of(file: &Path) -> String {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.trim_end_matches(".gz").trim_end_matches(".ndjson").to_string()
}

/// Prints what was counted, and fails if it is not what was promised.
fn report(args: &Args, streams: Vec<(String, Sent)>, swapped: Option<(&Plan, &Swapped)>, elapsed: Duration) -> Outcome {
    let mut rows = table::table(&["events", "sent", "allow", "flag", "undetermined", "deny", "rejected", "lost", "per second"]);
    let mut all = Tally::keeping_sequences();
    let (mut sent_total, mut lost_total) = (0, 0);
    let mut broken = None;
    let mut last_sequences = Vec::new();
    for (name, mut sent) in streams {
        let events = sent.events.with_context(|| format!("the events of {name} were not counted"));
        broken =
            broken.or(sent.ended.take().map(|Failed { exit, error }| Failed { exit, error: error.context(format!("stream of {name}")) }));
        // A stream that broke has told how many events it sent only if its file
        // was read to the end.
        let events = match events {
            Ok(events) => events,
            Err(error) => return Err(broken.unwrap_or(Failed { exit: Exit::Unreachable, error })),
        };
        let lost = events.saturating_sub(sent.tally.answered());
        rows.add_row(row(&name, events, &sent.tally, lost, sent.elapsed));
        sent_total += events;
        lost_total += lost;
        last_sequences = sent.tally.sequences.clone().unwrap_or_default();
        all.merge(sent.tally);
    }
    rows.add_row(row("all", sent_total, &all, lost_total, elapsed));
    table::print("Events and verdicts", &rows);
    all.print_details();

    let doubled = all.doubled();
    let mut rows = table::table(&["what", "count"]);
    rows.add_row([Cell::new("events sent"), table::number(sent_total)]);
    rows.add_row([Cell::new("events with a verdict"), table::number(all.judged())]);
    rows.add_row([Cell::new("events lost: sent and not answered"), table::ought_to_be_zero(lost_total)]);
    rows.add_row([Cell::new("events doubled: two answers with one sequence"), table::ought_to_be_zero(doubled)]);
    rows.add_row([Cell::new("answers out of order within a stream"), table::ought_to_be_zero(all.out_of_order)]);
    let mut astray = 0;
    if let Some((plan, swapped)) = swapped {
        astray = findings_astray(&all, plan, swapped);
        let before = last_sequences.iter().filter(|sequence| **sequence < swapped.sequence).count() as u64;
        let file = args.events.last().map(|file| name_of(file)).unwrap_or_default();
        rows.add_row([
            Cell::new(format!("{}: first sequence of the new release", table::plain(&plan.policy))),
            table::number(swapped.sequence),
        ]);
        rows.add_row([Cell::new(format!("events of {file} before it")), table::number(before)]);
        rows.add_row([Cell::new(format!("events of {file} from it on")), table::number(last_sequences.len() as u64 - before)]);
        rows.add_row([Cell::new("rules with findings of a release on the wrong side of it"), table::ought_to_be_zero(astray)]);
    }
    table::print("What was promised", &rows);
    if let Some((plan, swapped)) = swapped {
        println!(
            "Swapped in mid-stream: {}, {}: {} → {} (state: {}).",
            table::plain(&plan.policy),
            plan.change,
            table::plain(swapped.replaced.as_deref().unwrap_or("nothing")),
            table::plain(&swapped.release),
            table::plain(swapped.state.as_deref().unwrap_or("none")),
        );
    }
    println!("{}, with client and server on this machine.", rate(all.answered(), elapsed));
    let _ = std::io::stdout().flush();

    if let Some(broken) = broken {
        return Err(broken);
    }
    if lost_total + doubled + all.out_of_order + astray > 0 {
        return Err(failed(Exit::Failed, "a promise was not kept: the table has it in red"));
    }
    if all.rejected > 0 {
        return Err(failed(Exit::Refused, format!("{} events were rejected", table::grouped(all.rejected))));
    }
    Ok(())
}

fn row(name: &str, sent: u64, tally: &Tally, lost: u64, elapsed: Duration) -> Vec<Cell> {
    let per_second = if elapsed.is_zero() { 0 } else { (tally.answered() as f64 / elapsed.as_secs_f64()) as u64 };
    vec![
        Cell::new(name),
        table::number(sent),
        table::number(tally.with(Decision::Allow)),
        table::number(tally.with(Decision::Flag)),
        table::number(tally.with(Decision::Undetermined)),
        table::number(tally.with(Decision::Deny)),
        table::number(tally.rejected),
        table::ought_to_be_zero(lost),
        table::number(per_second),
    ]
}

/// Rules of the swapped policy with a finding that the release in force at that
/// sequence cannot have made.
fn findings_astray(tally: &Tally, plan: &Plan, swapped: &Swapped) -> u64 {
    let astray = tally.found().into_iter().filter(|found| found.policy == plan.policy).filter(|found| {
        if found.release == swapped.release {
            found.first_sequence < swapped.sequence
        } else {
            Some(&found.release) != swapped.replaced.as_ref() || found.last_sequence >= swapped.sequence
        }
    });
    astray.count() as u64
}

fn look_further(args: &Args, policy: &str) {
    let ephor = std::env::args_os().next().map(|name| name.to_string_lossy().into_owned()).unwrap_or_else(|| "ephor".into());
    let policies = args.policies.display();
    let events = args.events.first().map(|file| file.display().to_string()).unwrap_or_default();
    let url = "http://127.0.0.1:8787";
    println!(
        "
How to look further
  What a policy sees and can find:
    {ephor} policy inspect {policies}/{policy}.wasm
  Serve, and follow changes to the folder (leave it running, go on in another window):
    {ephor} serve --dev --policies {policies}
  One event, one verdict:
    curl {url}/v1/events -H 'content-type: application/cloudevents+json' -d '{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/shop\",\"type\":\"retail.invoice.line\",\"data\":{{\"description\":\"CIGAR BOX\"}}}}'
  What is in force, and how it is doing:
    curl {url}/v1/policies
    curl {url}/metrics
  A file of events:
    {ephor} send {events} --to {url}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_is_added_and_the_rest_stays() {
        let settings = with_one_word_more(br#"{"words":["KNIFE"],"other":1}"#).expect("settings with a list");
        let settings: serde_json::Value = serde_json::from_slice(&settings).expect("JSON");
        assert_eq!(settings, serde_json::json!({"words": ["KNIFE", "LANTERN"], "other": 1}));
        for bad in [&br#"{}"#[..], br#"{"words":[1]}"#, br#"{"words":["LANTERN"]}"#, b"x"] {
            assert!(with_one_word_more(bad).is_err());
        }
    }

    #[test]
    fn findings_on_the_wrong_side_of_a_swap_are_seen() {
        let plan = Plan { policy: "p".into(), settings: vec![], change: String::new() };
        let swapped = Swapped { release: "b".into(), replaced: Some("a".into()), sequence: 10, state: None };
        let tally = |findings: &[(u64, &str)]| {
            let mut tally = Tally::default();
            for (sequence, release) in findings {
                let line = format!(
                    r#"{{"sequence":{sequence},"verdict":"flag","findings":[{{"policy":"p","release":"{release}","rule":"r","action":"flag"}}]}}"#
                );
                tally.add(line.as_bytes()).expect("an answer");
            }
            tally
        };
        assert_eq!(findings_astray(&tally(&[(9, "a"), (10, "b")]), &plan, &swapped), 0);
        assert_eq!(findings_astray(&tally(&[(10, "a")]), &plan, &swapped), 1);
        assert_eq!(findings_astray(&tally(&[(9, "b"), (10, "c")]), &plan, &swapped), 2);
    }
}
