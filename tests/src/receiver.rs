//! A system that is told something, such as verdicts: takes requests, and answers as the
//! test wants.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::PATIENCE;

/// One request.
#[derive(Debug, Clone)]
pub struct Received {
    /// When it was there.
    pub at: Instant,
    /// What was asked for.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The status that it was answered with; nothing if it was left without an answer.
    pub status: Option<u16>,
}

impl Received {
    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The events of the body: of an array, or one.
    ///
    /// # Panics
    ///
    /// If it is neither.
    pub fn events(&self) -> Vec<Value> {
        match serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in the body {:?}", self.body)) {
            Value::Array(events) => events,
            event => vec![event],
        }
    }

    /// The sequences of its events.
    pub fn sequences(&self) -> Vec<u64> {
        self.events().iter().map(|event| event["data"]["sequence"].as_u64().unwrap_or_else(|| panic!("no sequence in {event}"))).collect()
    }
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// With a status.
    Status(u16),
    /// With a status and a header.
    With(u16, &'static str, String),
    /// With a status and a body.
    Body(u16, Vec<u8>),
    /// Not at all.
    Never,
}

type Plan = dyn FnMut(&Received) -> Reply + Send;

/// What it has seen, and how it answers.
struct Desk {
    seen: Mutex<Vec<Received>>,
    plan: Mutex<Box<Plan>>,
}

/// The receiver; gone with the value, and its port free.
pub struct Receiver {
    address: SocketAddr,
    desk: Arc<Desk>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Takes requests on a free port; `plan` says how each is answered.
    pub async fn start(plan: impl FnMut(&Received) -> Reply + Send + 'static) -> Receiver {
        Receiver::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), plan).await
    }

    /// Takes requests where another one did before.
    ///
    /// # Panics
    ///
    /// If the port is not to be had.
    pub async fn start_at(address: SocketAddr, plan: impl FnMut(&Received) -> Reply + Send + 'static) -> Receiver {
        let begin = Instant::now();
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "{address}: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let address = listener.local_addr().expect("an address");
        let desk = Arc::new(Desk { seen: Mutex::default(), plan: Mutex::new(Box::new(plan)) });
        let task = tokio::spawn(listen(listener, desk.clone()));
        Receiver { address, desk, task }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/verdicts", self.address)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers otherwise from now on.
    pub fn replan(&self, plan: impl FnMut(&Received) -> Reply + Send + 'static) {
        *self.desk.plan.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(plan);
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Received> {
        self.desk.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sequences of the events that it has taken, in the order in which it has.
    pub fn taken(&self) -> Vec<u64> {
        let taken = |received: &Received| received.status.is_some_and(|status| (200..300).contains(&status));
        self.seen().iter().filter(|received| taken(received)).flat_map(Received::sequences).collect()
    }

    /// Waits until what it has seen is enough.
    ///
    /// # Panics
    ///
    /// If it never is.
    pub async fn wait_until(&self, what: &str, mut holds: impl FnMut(&Receiver) -> bool) {
        let begin = Instant::now();
        while !holds(self) {
            assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} until {what}; {} requests so far", self.seen().len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Is gone, with its connections; says what it had seen.
    pub async fn stop(mut self) -> Vec<Received> {
        self.task.abort();
        let _ = (&mut self.task).await;
        self.seen()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, desk: Arc<Desk>) {
    // Ended together with this task.
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let desk = desk.clone();
        connections.spawn(async move {
            let answer = service_fn(move |request| answer(desk.clone(), request));
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), answer).await;
        });
    }
}

async fn answer(desk: Arc<Desk>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    // A request that was cut off was not received.
    let Ok(body) = body.collect().await else { return std::future::pending().await };
    let mut received =
        Received { at: Instant::now(), path: head.uri.path().to_string(), headers: head.headers, body: body.to_bytes(), status: None };
    let reply = (desk.plan.lock().unwrap_or_else(PoisonError::into_inner))(&received);
    let (status, header, body) = match reply {
        Reply::Status(status) => (Some(status), None, Vec::new()),
        Reply::With(status, name, value) => (Some(status), Some((name, value)), Vec::new()),
        Reply::Body(status, body) => (Some(status), None, body),
        Reply::Never => (None, None, Vec::new()),
    };
    received.status = status;
    desk.seen.lock().unwrap_or_else(PoisonError::into_inner).push(received);
    let Some(status) = status else { return std::future::pending().await };
    let mut response = Response::builder().status(status);
    if let Some((name, value)) = header {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(body.into())).expect("a well-formed response"))
}
