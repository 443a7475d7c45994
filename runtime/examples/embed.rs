//! A platform's own service with the runtime inside of it: no second process, no HTTP between
//! the two. The service is a shop that takes listings; what the law says about them is a
//! policy, which somebody else wrote.
//!
//! ```sh
//! make demo                                    # or `make languages`, or `make test`: builds the policies
//! cargo run --release --example embed          # sends itself some listings, swaps the policy, ends
//! cargo run --release --example embed serve    # goes on until Ctrl-C
//! ```

#![allow(clippy::print_stdout, reason = "what it does is what it is for")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use ephor::runtime::{About, Notice};
use ephor::verdict::Decision;
use ephor::{Runtime, ingest};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// An error that ends the program.
type Ended = Box<dyn Error + Send + Sync>;

/// What the listings of this shop are, as CloudEvents.
const LISTING: &str = "retail.invoice.line";

/// What every request handler has.
struct Shop {
    /// A handle; clones are handles to the same runtime.
    runtime: Runtime,
    /// What one event may be. The same bounds as `[ingest]` of the server.
    limits: ingest::Limits,
}

/// The first thing that the program does, before it starts a thread: the runtime compiles
/// policies in a child process that limits itself, because what strangers wrote can take any
/// time and memory. That child is this program again, unless the builder is told of another
/// (`worker("/usr/bin/ephor")`).
fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|argument| argument == "compile-worker") {
        return ephor::sandbox::worker::main();
    }
    let threads = match tokio::runtime::Runtime::new() {
        Ok(threads) => threads,
        Err(error) => return failed(&error),
    };
    match threads.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    eprintln!("embed: {error}");
    ExitCode::FAILURE
}

async fn run() -> Result<(), Ended> {
    // 1. The runtime. In the data directory are the ledger of every verdict, what policies
    //    remember, and which ids are known: an event that is sent again gets its verdict
    //    back. Without `data` everything is in memory, and nothing of that holds. A service
    //    keeps its directory; this example begins with an empty one each time.
    let data = tempfile::tempdir()?;
    let runtime = Runtime::builder()
        .data(data.path()) //
        .cache(target().join("embed-cache")) // compiled code, so that the next start is quick
        .build()?;

    // 2. A policy: a component and its settings. `install` is for what is not signed. What a
    //    regulator publishes is followed by `ephor::publishers::Publishers`, with a grant that
    //    says which fields it sees; `install_for` takes a grant alone.
    let component = target().join("policies/negative-list.wasm");
    let component = std::fs::read(&component).map_err(|error| format!("{}: {error}; `make demo` builds it", component.display()))?;
    let swap = runtime.install(component, settings(&["CIGAR"])).await?;
    println!("in force: {} {}, from entry {} on", swap.policy, swap.release, swap.sequence);

    // 3. Verdicts, as they are recorded, from any sequence on. A service remembers the last
    //    one that it has dealt with, and goes on behind it: `verdicts(last + 1)`. It may be
    //    as slow as it likes, and misses none, because it reads from the ledger.
    let mut verdicts = runtime.verdicts(1);
    let subscriber = tokio::spawn(async move {
        while let Some(verdict) = verdicts.next().await {
            match verdict {
                Ok(notice) => println!("recorded: {}", line(&notice)),
                Err(error) => eprintln!("embed: {error}"),
            }
        }
    });

    // 4. The service.
    let shop = Arc::new(Shop { runtime: runtime.clone(), limits: ingest::Limits::default() });
    let router = Router::new().route("/listings", post(list)).with_state(shop);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let serving = tokio::spawn(async move { serving.await });

    // 5. Some sellers, and a change of the law between two listings.
    let seller = Seller { client: reqwest::Client::new(), url: format!("http://{address}/listings") };
    for (id, title) in [("1", "WINE GLASS"), ("2", "CIGAR BOX"), ("3", "LANTERN")] {
        seller.offer(id, title).await?;
    }
    let swap = runtime.reconfigure("negative-list", settings(&["CIGAR", "LANTERN"])).await?;
    println!("in force: {} {}, from entry {} on", swap.policy, swap.release, swap.sequence);
    seller.offer("4", "LANTERN").await?;
    // Sent again, an event is not judged again: the verdict is that of its time.
    seller.offer("3", "LANTERN").await?;

    // 6. The end: no more requests, then the last handle goes, and everything that was
    //    submitted is judged and recorded before `close` returns. The subscription ends then.
    if std::env::args().any(|argument| argument == "serve") {
        println!("try: curl http://{address}/listings -H 'content-type: application/json' -d '{{\"id\":\"5\",\"title\":\"CIGAR\"}}'");
        println!("until Ctrl-C");
        tokio::signal::ctrl_c().await?;
    }
    let _ = stop.send(());
    serving.await??;
    runtime.close().await;
    subscriber.await?;
    println!("closed");
    Ok(())
}

/// Takes a listing of this shop, has it judged, and acts on the verdict.
async fn list(State(shop): State<Arc<Shop>>, Json(listing): Json<Value>) -> (StatusCode, String) {
    // Source and id name the event; with the platform's own id, a request that is sent again
    // is the same event.
    let event = json!({
        "specversion": "1.0", "type": LISTING, "source": "/shop", "id": listing["id"], "subject": "seller/7",
        "data": { "description": listing["title"] },
    });
    let event = match ingest::structured(event.to_string().as_bytes(), &shop.limits) {
        Ok(event) => event,
        Err(rejection) => return (StatusCode::BAD_REQUEST, rejection.to_string()),
    };
    // The first await takes the event into the order, and waits where the queue is full; the
    // second is the answer, once its entry is durable.
    let judged = match shop.runtime.submit(vec![event]).await {
        Ok(pending) => pending.await,
        Err(stopped) => return (StatusCode::SERVICE_UNAVAILABLE, stopped.to_string()),
    };
    let answer = match judged.as_ref().map(|judged| judged.answers.first()) {
        Ok(Some(answer)) => answer,
        // Whether it was recorded is not known: sent again, it has one verdict all the same.
        _ => return (StatusCode::SERVICE_UNAVAILABLE, "send it again".into()),
    };
    match answer {
        ephor::runtime::Answer::Judged(recorded) => match recorded.get().decision {
            Decision::Allow | Decision::Flag => (StatusCode::CREATED, "listed".into()),
            Decision::Deny => {
                (StatusCode::FORBIDDEN, recorded.get().findings.iter().map(|finding| finding.message()).collect::<Vec<_>>().join("; "))
            }
            // What that means is the platform's to say; this one looks at it first.
            Decision::Undetermined => (StatusCode::ACCEPTED, "held".into()),
        },
        ephor::runtime::Answer::Again(recorded) => (StatusCode::OK, format!("was judged before, in entry {}", recorded.sequence())),
        ephor::runtime::Answer::Refused(refusal) => (StatusCode::CONFLICT, refusal.to_string()),
    }
}

/// A verdict on one line.
fn line(notice: &Notice) -> String {
    let about = match &notice.about {
        About::Event { source, id, .. } => format!("event {id} of {source}"),
        About::Timer { policy, due, .. } => format!("timer of {policy}, due {due}"),
    };
    let rules: Vec<&str> = notice.findings.iter().map(|found| found.rule.as_str()).collect();
    format!("entry {}: {about}: {} {}", notice.sequence, notice.verdict.name(), rules.join(", ")).trim_end().to_string()
}

fn settings(words: &[&str]) -> Vec<u8> {
    json!({ "words": words }).to_string().into_bytes()
}

/// Where `make` puts what it builds.
fn target() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    std::env::var_os("CARGO_TARGET_DIR").map_or(own, PathBuf::from)
}

/// Somebody who sells something.
struct Seller {
    client: reqwest::Client,
    url: String,
}

impl Seller {
    async fn offer(&self, id: &str, title: &str) -> Result<(), Ended> {
        let body = json!({ "id": id, "title": title }).to_string();
        let answer = self.client.post(&self.url).header("content-type", "application/json").body(body).send().await?;
        println!("{title:?} is offered: {} {}", answer.status().as_u16(), answer.text().await?);
        Ok(())
    }
}
