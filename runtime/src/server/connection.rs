//! One connection: how long it may be silent, idle, or slow to read.
//!
//! hyper covers a header that does not come to its end; what it does not cover
//! is a client that sends nothing, half of the HTTP/2 preface, no further
//! request, or does not read its answers. Each has its bound here.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, interval, sleep, sleep_until, timeout};

use super::body::{Cut, ResponseBody};
use super::clients::Ticket;
use super::followed::Sending;
use super::handshake::{self, Met, Protocol};
use super::peer::Peer;
use super::shown::Shown;
use super::{Limits, Phase, Shared, routes};

/// Header fields beyond the limit that hyper still reads, so that the refusal says what is
/// wrong. Beyond these it refuses without a word, and closes the connection.
const HEADERS_SPARE: usize = 64;

/// Serves a connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream, address: SocketAddr) {
    // Answers are written in whole frames; waiting to fill a packet only delays
    // them.
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    match timeout(shared.limits.first_byte_timeout(), stream.peek(&mut first)).await {
        Ok(Ok(1..)) => {}
        Ok(Ok(0) | Err(_)) | Err(_) => return,
    }
    let Some(door) = shared.door.clone() else {
        return speak(shared, stream, Peer { address, certificate: None }, None, None).await;
    };
    if let Some(Met { stream, certificate, changes, protocol }) = handshake::meet(&shared, &door, stream, first[0], address).await {
        let taken = certificate.is_some().then_some(changes);
        speak(shared, stream, Peer { address, certificate }, protocol, taken).await;
    }
}

/// Speaks HTTP to the end of the connection: in the version that was agreed on, or else
/// that of the client's first bytes. `taken` is the door that has taken a certificate: once
/// it changes, that one may be revoked, and takes a handshake to be taken again.
async fn speak<S>(shared: Arc<Shared>, stream: S, peer: Peer, protocol: Option<Protocol>, mut taken: Option<watch::Receiver<u64>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &shared.limits;
    let mut phase = shared.phase.clone();
    let peer = Arc::new(peer);
    tracing::debug!(address = %peer.address, names = ?peer.certificate.as_ref().map(|certificate| &certificate.names), "Connected");
    let requests = Arc::new(Requests::default());
    let service = service_fn({
        let (shared, peer, requests) = (Arc::clone(&shared), Arc::clone(&peer), Arc::clone(&requests));
        move |request| {
            let (shared, peer) = (Arc::clone(&shared), Arc::clone(&peer));
            let open = OpenRequest::begin(&requests);
            async move {
                let mut response = routes::answer(&shared, &peer, request).await;
                let ticket = response.extensions_mut().remove::<Ticket>();
                let followed = response.extensions_mut().remove::<Sending>();
                let shown = response.extensions_mut().remove::<Shown>();
                Ok::<_, Infallible>(response.map(|body| Counted::new(body, open, shown, ticket, followed)))
            }
        }
    });
    let builder = builder(limits, protocol);
    let io = TokioIo::new(Patient::new(stream, limits.write_timeout()));
    let connection = builder.serve_connection(io, service);
    tokio::pin!(connection);
    let check = sleep_until(Instant::now() + limits.header_timeout());
    tokio::pin!(check);
    let mut stall = interval(limits.write_timeout());
    let mut seen = 0;
    let mut leaving = false;
    // Requests at the first check after the client was told to come anew.
    let (mut is_told, mut when_told) = (false, None);
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(error = &*error, "Connection ended early");
                }
                return;
            }
            () = &mut check => {
                let begun = requests.begun();
                // In HTTP/2 a client can act as if it had not heard.
                if begun == 0 || when_told.is_some_and(|when_told| begun > when_told) {
                    return;
                }
                when_told = when_told.or(is_told.then_some(begun));
                if begun == seen && !requests.are_open() {
                    if leaving {
                        return;
                    }
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                seen = begun;
                check.as_mut().reset(Instant::now() + limits.idle_timeout());
            }
            _ = stall.tick() => {
                if requests.have_waited_for(limits.write_timeout()) {
                    tracing::debug!(address = %peer.address, "The peer lets no answer through");
                    return;
                }
            }
            () = changed(&mut taken) => {
                (taken, leaving, is_told) = (None, true, true);
                connection.as_mut().graceful_shutdown();
            }
            changed = phase.changed() => {
                if changed.is_err() || *phase.borrow() == Phase::Stopped {
                    return;
                }
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Waits for a change; for ever, where there is none to come.
async fn changed(taken: &mut Option<watch::Receiver<u64>>) {
    let is_changed = match taken {
        Some(taken) => taken.changed().await.is_ok(),
        None => false,
    };
    if !is_changed {
        std::future::pending::<()>().await;
    }
}

/// How HTTP is spoken: within which bounds, and in which version if one was agreed on.
fn builder(limits: &Limits, protocol: Option<Protocol>) -> auto::Builder<TokioExecutor> {
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut builder = match protocol {
        None => builder,
        Some(Protocol::Http1) => builder.http1_only(),
        Some(Protocol::Http2) => builder.http2_only(),
    };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout())
        .max_headers(limits.headers_max.saturating_add(HEADERS_SPARE))
        .max_buf_size(limits.read_buffer_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.streams_reset_max)
        .max_local_error_reset_streams(limits.streams_failed_max)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_frame_size(limits.frame_bytes_max)
        .max_send_buf_size(limits.send_buffer_bytes_max)
        .keep_alive_interval(limits.ping_interval())
        .keep_alive_timeout(limits.ping_timeout());
    builder
}

/// Requests of one connection, begun and answered.
#[derive(Debug, Default)]
struct Requests {
    begun: AtomicU64,
    answered: AtomicU64,
    /// Answers that have something for the peer, and since when nobody has asked them for
    /// it. In HTTP/2 that is not seen on the socket: a window that stays shut holds an
    /// answer, and everything else flows.
    offered: Mutex<BTreeMap<u64, Instant>>,
}

impl Requests {
    fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    fn are_open(&self) -> bool {
        self.begun() != self.answered.load(Ordering::Relaxed)
    }

    fn have_waited_for(&self, patience: Duration) -> bool {
        self.offered().values().any(|since| since.elapsed() >= patience)
    }

    fn offered(&self) -> MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is not wholly answered: its handler runs, or its answer's body
/// is still being sent.
struct OpenRequest {
    requests: Arc<Requests>,
    number: u64,
}

impl OpenRequest {
    fn begin(requests: &Arc<Requests>) -> Self {
        let number = requests.begun.fetch_add(1, Ordering::Relaxed);
        OpenRequest { requests: Arc::clone(requests), number }
    }

    /// There is something for the peer.
    fn offer(&self) {
        self.requests.offered().insert(self.number, Instant::now());
    }

    /// The peer would take something.
    fn asked(&self) {
        self.requests.offered().remove(&self.number);
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.asked();
        self.requests.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// An answer's body that holds its request open.
struct Counted {
    body: ResponseBody,
    open: OpenRequest,
    /// What it was asked for with.
    shown: Option<Shown>,
    /// Counts for its client until the end.
    _ticket: Option<Ticket>,
    _followed: Option<Sending>,
}

impl Counted {
    fn new(body: ResponseBody, open: OpenRequest, shown: Option<Shown>, ticket: Option<Ticket>, followed: Option<Sending>) -> Counted {
        open.offer();
        Counted { body, open, shown, _ticket: ticket, _followed: followed }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.open.asked();
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            if self.shown.as_mut().is_some_and(|shown| !shown.holds()) {
                return Poll::Ready(Some(Err(Cut)));
            }
            self.open.offer();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that gives up on a peer that takes nothing for too long.
struct Patient<S> {
    stream: S,
    patience: Duration,
    /// Present while a write waits.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    fn new(stream: S, patience: Duration) -> Self {
        Patient { stream, patience, deadline: None }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.deadline = None;
            return polled;
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, polled)
    }
}
