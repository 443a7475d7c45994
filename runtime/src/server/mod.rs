//! The HTTP surface: HTTP/1.1 and HTTP/2, in clear or in TLS; events in, verdicts out.
//!
//! In reading order, as a request meets them: `connection` (how long a peer may
//! be silent), `handshake` (TLS, and who is at the other end), `routes` (path and method),
//! `protocol` (what HTTP asks of all of them, as `openapi` describes them), `body` (expanded and bounded),
//! `events` and `stream` (the four forms of events), `answer` (verdicts as JSON),
//! `problem` (errors as JSON, and their status), `policies`, `metrics`, `page` (what
//! people look at). All bounds are in `limits`.
//!
//! Knows the runtime by its embedding API only, and nothing of how an event is
//! decoded, a policy run, or a verdict kept.

mod act;
mod answer;
mod backtests;
mod body;
mod clients;
mod connection;
mod contents;
mod events;
mod followed;
pub(crate) mod fuzz;
mod guard;
mod handshake;
mod limits;
mod list;
mod log;
mod login;
mod metrics;
pub mod openapi;
mod page;
mod peer;
mod policies;
mod problem;
mod protocol;
mod releases;
mod repositories;
mod routes;
mod sent_events;
mod shown;
mod status;
mod stream;
mod turn;
mod verdicts;
mod viewer;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Resource;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

pub use clients::Clients;
pub use limits::{ExposedError, Limits};
pub use routes::{Surface, surface};

use crate::access::Access;
use crate::backtest::Backtests;
use crate::ingest;
use crate::outgoing::Outgoing;
use crate::overview::Overview;
use crate::places::Lately;
use crate::publishers::Publishers;
use crate::runtime::Runtime;
use crate::tls::Door;
use body::Room;
use clients::Registry;
use metrics::Counters;
use turn::Turns;

/// How long the accept loop rests after an error. Without descriptors left it
/// would spin, and closing connections is what frees them.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Descriptors that connections leave for everything else: the ledger's files, children
/// that compile, repositories. A ledger that is given none cannot write, and stops.
const DESCRIPTORS_LEFT: u64 = 128;

/// Time between two looks at files of tokens and keys: how long a token that was revoked
/// may still be taken.
const REFRESH: Duration = Duration::from_millis(500);

/// Time between two looks whether the runtime is still there.
const LOOK: Duration = Duration::from_millis(250);

/// What a server is for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Development mode: policies can be put in force over HTTP. The server
    /// then listens on the loopback interface only.
    pub dev: bool,
    /// What one event, line and batch may be.
    pub ingest: ingest::Limits,
    /// The publishers whose releases are judged with.
    pub publishers: Option<Arc<Publishers>>,
    /// Back-tests on what the ledger keeps.
    pub backtests: Backtests,
    /// Who is let in, and what for. Without it, whoever can connect may do everything
    /// that is done from this machine.
    pub access: Option<Arc<Access>>,
    /// The other systems that are told verdicts.
    pub outgoing: Option<Arc<Outgoing>>,
}

/// Where the server is in its life. Only ever moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// No new connections and requests; open ones come to their end.
    Draining,
    /// Time is up.
    Stopped,
}

/// What all connections have in common.
#[derive(Clone)]
struct Shared {
    runtime: Runtime,
    limits: Limits,
    /// Where there is TLS.
    door: Option<Door>,
    /// Whether only this machine reaches it.
    loopback: bool,
    options: Options,
    counters: Counters,
    clients: Arc<Registry>,
    room: Room,
    turns: Turns,
    phase: watch::Receiver<Phase>,
    /// Findings that maps of the page have shown lately.
    maps: Lately,
    /// Sums over the ledger, for the page; absent without a ledger.
    overview: Option<Arc<Overview>>,
}

/// The HTTP server in front of a runtime.
///
/// ```no_run
/// # async fn example(runtime: ephor::Runtime) -> std::io::Result<()> {
/// use ephor::server::{Limits, Options, Server};
///
/// let server = Server::bind("127.0.0.1:8080".parse().expect("an address"), runtime, Limits::default(), Options::default()).await?;
/// println!("http://{}", server.local_addr());
/// server.run(async { let _ = tokio::signal::ctrl_c().await; }).await;
/// # Ok(())
/// # }
/// ```
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    /// What the next connection gets.
    shared: watch::Sender<Arc<Shared>>,
    phase: watch::Sender<Phase>,
    connections_max: u32,
}

/// Gives a server other limits while it runs.
#[derive(Clone)]
pub struct Limiter(watch::Sender<Arc<Shared>>);

impl Limiter {
    /// Connections that begin from now on have these limits, as far as
    /// [`Limits::taking_over`] says; those that are open keep theirs.
    pub fn limit(&self, limits: &Limits, ingest: ingest::Limits) {
        self.0.send_modify(|shared| {
            let before = Shared::clone(shared);
            let limits = before.limits.taking_over(limits);
            let (room, options) = (before.room.asking_back(limits.retry_after_s), Options { ingest, ..before.options });
            let clients = match *before.clients.bounds() == limits.clients {
                true => Arc::clone(&before.clients),
                false => Registry::new(&limits.clients, &before.counters),
            };
            *shared = Arc::new(Shared { limits, clients, room, options, ..before });
        });
    }
}

impl Server {
    /// Listens on an address; port 0 takes a free one.
    ///
    /// Connections are accepted by the system from here on and answered once the
    /// server runs.
    ///
    /// # Errors
    ///
    /// If the address is not to be had; if other machines reach it, in development mode or
    /// without TLS; and if a file of [`Limits::tls`] cannot be used.
    pub async fn bind(addr: SocketAddr, runtime: Runtime, limits: Limits, options: Options) -> io::Result<Server> {
        if options.dev && !addr.ip().is_loopback() {
            let reason = format!(
                "development mode listens on the loopback interface only, not on {addr}; anybody who reaches it can put policies in force"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        limits.may_listen(addr).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let door = limits.tls.is_on().then(|| Door::open(&limits.tls)).transpose();
        let door = door.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let listener = TcpListener::bind(addr).await?;
        let address = listener.local_addr()?;
        let (phase, phase_seen) = watch::channel(Phase::Running);
        let counters = Counters::default();
        runtime.stats().register(|registry| {
            counters.register(registry);
            if door.is_some() {
                counters.register_tls(registry);
            }
        });
        let connections_max = connections_within(rustix::process::getrlimit(Resource::Nofile).current, limits.connections_max);
        let room = Room::new(limits.bodies_bytes_max, limits.retry_after_s);
        let overview = runtime.log().map(|log| Overview::start(Arc::clone(log), runtime.durable())).transpose()?;
        let clients = Registry::new(&limits.clients, &counters);
        let shared = Arc::new(Shared {
            runtime,
            limits,
            door,
            loopback: address.ip().is_loopback(),
            options,
            counters,
            clients,
            room,
            turns: Turns::default(),
            phase: phase_seen,
            maps: Lately::default(),
            overview,
        });
        let (shared, _) = watch::channel(shared);
        Ok(Server { listener, address, shared, phase, connections_max })
    }

    /// What gives it other limits while it runs.
    pub fn limiter(&self) -> Limiter {
        Limiter(self.shared.clone())
    }

    /// What its connections are met with, where there is TLS.
    pub fn door(&self) -> Option<Door> {
        self.shared.borrow().door.clone()
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` completes, then lets open requests come to their
    /// end within `Limits::drain_timeout_ms`.
    ///
    /// Streams end at the line that they have reached, and say at which. Returns
    /// when the last connection is closed. Ends by itself if the runtime breaks down
    /// ([`Runtime::is_broken`]): who is refused for ever is no better served than who finds
    /// nobody there, and whoever watches over processes sees only the second.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Server { listener, shared, phase, connections_max, .. } = self;
        let access = shared.borrow().options.access.clone();
        let refreshing = access.map(|access| tokio::spawn(refresh(access)));
        let permits = Arc::new(Semaphore::new(connections_max as usize));
        let runtime = shared.borrow().runtime.clone();
        let (mut shutdown, mut broken) = (pin!(shutdown), pin!(breaks(&runtime)));
        loop {
            let (stream, address, permit) = tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = &mut broken => {
                    tracing::error!("What judges has broken down; stopping, so that a start can go on from what is recorded");
                    break;
                }
                accepted = accept(&listener, &permits) => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(error = %error, "Accepting a connection failed");
                        sleep(ACCEPT_REST).await;
                        continue;
                    }
                },
            };
            let shared = Arc::clone(&shared.borrow());
            tokio::spawn(async move {
                // Both end with the task that does the work, never earlier.
                let _permit = permit;
                let _counted = shared.counters.connection();
                connection::serve(Arc::clone(&shared), stream, address).await;
            });
        }
        drop(listener);
        if let Some(refreshing) = refreshing {
            refreshing.abort();
        }
        phase.send_replace(Phase::Draining);
        // All permits back means that all connections are closed.
        let patience = shared.borrow().limits.drain_timeout();
        let drained = timeout(patience, permits.acquire_many(connections_max)).await;
        if drained.is_err() {
            let open = connections_max as usize - permits.available_permits();
            tracing::warn!(connections.open = open, "Closing connections that did not come to their end in time");
            phase.send_replace(Phase::Stopped);
            let _ = permits.acquire_many(connections_max).await;
        }
    }
}

/// How many connections there may be with so many descriptors; absent if there are any
/// number. Says so if it is fewer than was wanted.
fn connections_within(descriptors: Option<u64>, wanted: usize) -> u32 {
    let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).max(1);
    let Some(descriptors) = descriptors else { return wanted };
    let room = descriptors.saturating_sub(DESCRIPTORS_LEFT).max(descriptors / 4);
    let room = u32::try_from(room).unwrap_or(u32::MAX).max(1);
    if room < wanted {
        tracing::warn!(
            wanted,
            room,
            descriptors,
            "Fewer connections than server.connections-max: the limit of open files has no room for more"
        );
    }
    room.min(wanted)
}

/// Ends once a runtime has broken down.
async fn breaks(runtime: &Runtime) {
    while !runtime.is_broken() {
        sleep(LOOK).await;
    }
}

/// Reads files of tokens and keys again when they change. Never returns.
async fn refresh(access: Arc<Access>) {
    loop {
        sleep(REFRESH).await;
        let access = Arc::clone(&access);
        let _ = tokio::task::spawn_blocking(move || access.refresh()).await;
    }
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, address, permit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_ledger() {
        let cases = [(None, 5_000, 5_000), (Some(1_024), 5_000, 896), (Some(1_024), 100, 100), (Some(160), 1_024, 40), (Some(2), 9, 1)];
        for (descriptors, wanted, expected) in cases {
            assert_eq!(connections_within(descriptors, wanted), expected, "{descriptors:?}");
        }
    }
}
