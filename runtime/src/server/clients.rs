//! How much one client may send: whoever has shown who they are, or else an address.
//!
//! A client is looked up once for each request; what a stream sends is counted once for
//! each submission, without a lock. What is refused or has to wait is one client's own
//! affair.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use hyper::http::request::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Phase;
use super::metrics::Counters;
use super::problem::{Cause, Problem};

/// Clients that are remembered. Beyond that, those that have nothing open are forgotten,
/// and so begin anew.
const CLIENTS_MAX: usize = 10_000;

/// What a governor counts bytes in: it counts in 32 bits.
const BYTES_UNIT: u64 = 1024;

/// What a client may do at once at the least, whatever its rate: so much as a stream
/// submits together.
const EVENTS_BURST: u32 = 1_024;
const UNITS_BURST: u32 = 1_024;

/// Bounds for each client; 0 stands for none. A client is a name that was shown
/// (`access`), or else an address; of IPv6 addresses the first 64 bits. A request beyond
/// a bound is refused with a time to come back, a stream waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Clients {
    /// Requests in a second, on average; as many at once.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub requests_per_second: u32,
    /// Events in a second, on average; as many at once, and 1,024 in any case.
    #[schemars(range(min = 0, max = 100_000_000))]
    pub events_per_second: u32,
    /// Bytes of events in a second, on average, as they are once they are expanded; as
    /// many at once, and 1 MiB in any case.
    #[schemars(range(min = 0, max = 1u64 << 40))]
    pub bytes_per_second: u64,
    /// Requests and streams open at the same time.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub open_max: usize,
}

impl Clients {
    fn are_bounded(&self) -> bool {
        *self != Clients::default()
    }
}

/// Whom something is counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Name(String),
    Address(IpAddr),
}

impl Key {
    /// An address, as far as it is somebody's: a household has 64 bits to choose from.
    pub(super) fn of(address: IpAddr) -> Self {
        Key::Address(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
            address => address,
        })
    }
}

/// What a bound is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Requests,
    Events,
    Bytes,
    Open,
}

impl Bound {
    fn name(self) -> &'static str {
        match self {
            Bound::Requests => "requests",
            Bound::Events => "events",
            Bound::Bytes => "bytes",
            Bound::Open => "open",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Bound::Requests => "requests-per-second",
            Bound::Events => "events-per-second",
            Bound::Bytes => "bytes-per-second",
            Bound::Open => "open-max",
        }
    }
}

/// A governor, and what it lets through at once.
struct Rate {
    limiter: DefaultDirectRateLimiter,
    burst: NonZeroU32,
}

impl Rate {
    fn new(per_second: u32, burst: u32) -> Option<Self> {
        let per_second = NonZeroU32::new(per_second)?;
        let burst = per_second.max(NonZeroU32::new(burst)?);
        Some(Rate { limiter: RateLimiter::direct(Quota::per_second(per_second).allow_burst(burst)), burst })
    }

    /// Takes so many, or says how long to wait. More than can ever be taken at once count
    /// as that much.
    fn take(&self, count: u64) -> Result<(), Duration> {
        let Some(count) = NonZeroU32::new(u32::try_from(count).unwrap_or(u32::MAX)) else { return Ok(()) };
        match self.limiter.check_n(count.min(self.burst)) {
            Ok(Ok(())) | Err(_) => Ok(()),
            Ok(Err(until)) => Err(until.wait_time_from(DefaultClock::default().now())),
        }
    }
}

/// What is counted of one client.
struct Client {
    requests: Option<Rate>,
    events: Option<Rate>,
    bytes: Option<Rate>,
    open: AtomicUsize,
}

impl Client {
    fn new(bounds: &Clients) -> Self {
        let units = if bounds.bytes_per_second == 0 { 0 } else { (bounds.bytes_per_second / BYTES_UNIT).max(1) };
        Client {
            requests: Rate::new(bounds.requests_per_second, 1),
            events: Rate::new(bounds.events_per_second, EVENTS_BURST),
            bytes: Rate::new(u32::try_from(units).unwrap_or(u32::MAX), UNITS_BURST),
            open: AtomicUsize::new(0),
        }
    }
}

/// All clients that are remembered.
pub(super) struct Registry {
    bounds: Clients,
    known: Mutex<HashMap<Key, Arc<Client>>>,
    counters: Counters,
}

impl Registry {
    pub(super) fn new(bounds: &Clients, counters: &Counters) -> Arc<Self> {
        Arc::new(Registry { bounds: bounds.clone(), known: Mutex::default(), counters: counters.clone() })
    }

    /// The bounds that it holds clients to.
    pub(super) fn bounds(&self) -> &Clients {
        &self.bounds
    }

    /// Lets a client begin a request; nothing comes of it where nothing is bounded.
    ///
    /// # Errors
    ///
    /// If it has begun too many.
    pub(super) fn enter(self: &Arc<Self>, key: impl FnOnce() -> Key) -> Result<Option<Ticket>, Problem> {
        if !self.bounds.are_bounded() {
            return Ok(None);
        }
        let client = self.client(key());
        if let Some(requests) = &client.requests {
            requests.take(1).map_err(|wait| self.refuse(Bound::Requests, wait))?;
        }
        let open = client.open.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket(Arc::new(Open { client, registry: Arc::clone(self) }));
        match self.bounds.open_max != 0 && open >= self.bounds.open_max {
            true => Err(self.refuse(Bound::Open, Duration::from_secs(1))),
            false => Ok(Some(ticket)),
        }
    }

    fn client(&self, key: Key) -> Arc<Client> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = known.get(&key) {
            return Arc::clone(client);
        }
        if known.len() >= CLIENTS_MAX {
            known.retain(|_, client| Arc::strong_count(client) > 1);
        }
        let client = Arc::new(Client::new(&self.bounds));
        // Full of clients that all have something open, which connections bound.
        if known.len() < CLIENTS_MAX {
            known.insert(key, Arc::clone(&client));
        }
        client
    }

    fn refuse(&self, bound: Bound, wait: Duration) -> Problem {
        self.counters.throttled(bound.name());
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let detail =
            format!("One client may send so much and no more (`server.clients.{}`); nothing of the request was taken.", bound.key());
        Problem::new(Cause::TooMany, detail).retry_after(seconds.max(1))
    }
}

/// A request that a client has begun. Its end is the end of the answer.
#[derive(Clone)]
pub(super) struct Ticket(Arc<Open>);

struct Open {
    client: Arc<Client>,
    registry: Arc<Registry>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.client.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ticket {
    /// That of a request, where clients are bounded.
    pub(super) fn of(parts: &Parts) -> Option<Self> {
        parts.extensions.get::<Ticket>().cloned()
    }

    /// Takes what came whole.
    ///
    /// # Errors
    ///
    /// If it is more than the client may send now. Its bytes may have been counted then; none
    /// of it goes on.
    pub(super) fn take(&self, events: usize, bytes: usize) -> Result<(), Problem> {
        let Open { client, registry } = &*self.0;
        for (rate, count, bound) in [(&client.bytes, units(bytes), Bound::Bytes), (&client.events, events as u64, Bound::Events)] {
            if let Some(rate) = rate {
                rate.take(count).map_err(|wait| registry.refuse(bound, wait))?;
            }
        }
        Ok(())
    }

    /// Waits until a stream may go on with what has come of it, or the server stops.
    pub(super) async fn wait(&self, events: usize, bytes: usize, phase: &mut tokio::sync::watch::Receiver<Phase>) {
        let Open { client, registry } = &*self.0;
        for (rate, count, bound) in [(&client.bytes, units(bytes), Bound::Bytes), (&client.events, events as u64, Bound::Events)] {
            let Some(rate) = rate else { continue };
            let mut counted = false;
            while let Err(wait) = rate.take(count) {
                if !std::mem::replace(&mut counted, true) {
                    registry.counters.throttled(bound.name());
                }
                let stops = async { phase.wait_for(|phase| *phase != Phase::Running).await.map(drop) };
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = stops => return,
                }
            }
        }
    }
}

fn units(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_UNIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(bounds: Clients) -> Arc<Registry> {
        Registry::new(&bounds, &Counters::default())
    }

    fn name(name: &str) -> Key {
        Key::Name(name.into())
    }

    #[test]
    fn ht_22_one_client_beyond_its_bound_is_nobody_elses_affair() {
        let clients = registry(Clients { requests_per_second: 2, ..Clients::default() });
        let taken = (0..10).filter(|_| clients.enter(|| name("a")).is_ok()).count();
        assert!((2..10).contains(&taken), "{taken}");
        let refused = clients.enter(|| name("a")).err().expect("refused");
        assert_eq!((refused.cause, refused.retry_after_s), (Cause::TooMany, Some(1)));
        assert!(clients.enter(|| name("b")).is_ok());
    }

    #[test]
    fn what_is_open_counts_until_its_end() {
        let clients = registry(Clients { open_max: 1, ..Clients::default() });
        let first = clients.enter(|| name("a")).expect("let in").expect("counted");
        assert!(clients.enter(|| name("a")).is_err() && clients.enter(|| name("a")).is_err());
        let copy = first.clone();
        drop(first);
        assert!(clients.enter(|| name("a")).is_err(), "still open");
        drop(copy);
        assert!(clients.enter(|| name("a")).is_ok());
    }

    #[test]
    fn more_than_can_ever_come_at_once_is_taken_once() {
        let clients = registry(Clients { events_per_second: 10, bytes_per_second: 1, ..Clients::default() });
        let ticket = clients.enter(|| name("a")).expect("let in").expect("counted");
        assert!(ticket.take(1_000_000, 0).is_ok());
        assert!(ticket.take(1, 0).is_err());
        assert!(ticket.take(0, usize::MAX).is_ok());
        assert!(ticket.take(0, 1).is_err());
    }

    #[test]
    fn a_household_is_one_client_and_memory_is_bounded() {
        let key = |address: &str| Key::of(address.parse().expect("an address"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:0:0:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        let clients = registry(Clients { requests_per_second: 1, ..Clients::default() });
        for number in 0..3 * CLIENTS_MAX as u32 {
            let _ = clients.enter(|| Key::of(std::net::Ipv4Addr::from_bits(number).into()));
        }
        assert!(clients.known.lock().expect("a lock").len() <= CLIENTS_MAX);
        assert!(registry(Clients::default()).enter(|| name("a")).is_ok_and(|ticket| ticket.is_none()));
    }
}
