//! One connection: how long it may be silent, idle, or slow to read.
//!
//! hyper covers a header that does not come to its end; what it does not cover
//! is a client that sends nothing, half of the HTTP/2 preface, no further
//! request, or does not read its answers. Each has its bound here.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

use super::body::{Cut, ResponseBody};
use super::peer::Peer;
use super::{Phase, Shared, routes};

/// The largest chunk that HTTP/1 reads at once, and with that the memory of one
/// connection. Much smaller, and a stream pays for many reads.
const READ_BUFFER_BYTES: usize = 256 * 1024;
/// Header fields beyond the limit that hyper still reads, so that the refusal says what is
/// wrong. Beyond these it refuses without a word, and closes the connection.
const HEADERS_SPARE: usize = 64;
/// What an HTTP/2 client may send ahead on one stream and on one connection.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
const FRAME_BYTES: u32 = 64 * 1024;
/// An HTTP/2 peer that does not answer a ping is gone.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves a connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream, address: SocketAddr) {
    // Answers are written in whole frames; waiting to fill a packet only delays
    // them.
    let _ = stream.set_nodelay(true);
    let limits = &shared.limits;
    let mut phase = shared.phase.clone();
    match timeout(limits.first_byte_timeout(), stream.peek(&mut [0])).await {
        Ok(Ok(1..)) => {}
        Ok(Ok(0) | Err(_)) | Err(_) => return,
    }
    let peer = Arc::new(Peer { address, certificate: None });
    let requests = Arc::new(Requests::default());
    let service = service_fn({
        let (shared, requests) = (Arc::clone(&shared), Arc::clone(&requests));
        move |request| {
            let (shared, peer) = (Arc::clone(&shared), Arc::clone(&peer));
            let open = OpenRequest::begin(&requests);
            async move {
                let response = routes::answer(&shared, &peer, request).await;
                Ok::<_, Infallible>(response.map(|body| Counted { body, _open: open }))
            }
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout())
        .max_headers(limits.headers_max.saturating_add(HEADERS_SPARE))
        .max_buf_size(READ_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let io = TokioIo::new(Patient::new(stream, limits.write_timeout()));
    let connection = builder.serve_connection(io, service);
    tokio::pin!(connection);
    let check = sleep_until(Instant::now() + limits.header_timeout());
    tokio::pin!(check);
    let mut seen = 0;
    let mut leaving = false;
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
                if begun == 0 {
                    return;
                }
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

/// Requests of one connection, begun and answered.
#[derive(Debug, Default)]
struct Requests {
    begun: AtomicU64,
    answered: AtomicU64,
}

impl Requests {
    fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    fn are_open(&self) -> bool {
        self.begun() != self.answered.load(Ordering::Relaxed)
    }
}

/// A request that is not wholly answered: its handler runs, or its answer's body
/// is still being sent.
struct OpenRequest(Arc<Requests>);

impl OpenRequest {
    fn begin(requests: &Arc<Requests>) -> Self {
        requests.begun.fetch_add(1, Ordering::Relaxed);
        OpenRequest(Arc::clone(requests))
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// An answer's body that holds its request open.
struct Counted {
    body: ResponseBody,
    _open: OpenRequest,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that gives up on a peer that takes nothing for too long.
struct Patient {
    stream: TcpStream,
    patience: Duration,
    /// Present while a write waits.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(stream: TcpStream, patience: Duration) -> Self {
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

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Patient {
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
