//! Bodies: what comes in, expanded and bounded; what goes out.
//!
//! Nothing here collects without a bound, waits without a time-out, or expands
//! faster than the limits allow.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Bytes, BytesMut};
use hyper::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::CONTENT_ENCODING;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::problem::{Cause, Problem};

/// Bytes that are expanded at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// What a semaphore's permit stands for: it counts in 32 bits.
const ROOM_UNIT_BYTES: usize = 1024;
/// From this size on the ratio of a compressed body is looked at: a small body
/// may well be a very regular one.
const RATIO_FREE_BYTES: u64 = 1024 * 1024;
/// Window of zstd, as a power of two: 8 MiB, what RFC 9659 allows on the web.
/// Bounds the memory of one decoder.
const ZSTD_WINDOW_LOG: u32 = 23;
/// What is read of a refused body, so that the client finds the answer and the
/// connection can be used again.
const DISCARD_BYTES_MAX: usize = 1024 * 1024;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// How a request's body is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Zstd,
}

impl Coding {
    /// Reads `Content-Encoding`. One coding at most: a second one is there to
    /// hide something.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut coding = Coding::Identity;
        for value in headers.get_all(CONTENT_ENCODING) {
            for word in value.to_str().unwrap_or("?").split(',').map(str::trim).filter(|word| !word.is_empty()) {
                let next = match word.to_ascii_lowercase().as_str() {
                    "identity" => continue,
                    "gzip" | "x-gzip" => Coding::Gzip,
                    "zstd" => Coding::Zstd,
                    _ => {
                        let detail = format!("{word:?} is not taken; send the body as gzip, zstd, or as it is.");
                        return Err(Problem::new(Cause::ContentCoding, detail).at_header("content-encoding"));
                    }
                };
                if coding != Coding::Identity {
                    let detail = "Only one content coding is taken; send the body compressed once.";
                    return Err(Problem::new(Cause::ContentCoding, detail).at_header("content-encoding"));
                }
                coding = next;
            }
        }
        Ok(coding)
    }
}

/// A request's body.
pub(super) struct RequestBody {
    source: Source,
    /// Bytes given out so far.
    given: u64,
    ratio_max: u64,
    /// Room to expand into.
    spare: BytesMut,
    /// Nothing more is expected to come.
    stalled: bool,
    /// Room for what is collected, given back when the request is over.
    held: Option<OwnedSemaphorePermit>,
}

/// What all collected bodies share. Counts in units of [`ROOM_UNIT_BYTES`].
#[derive(Clone)]
pub(super) struct Room {
    units: Arc<Semaphore>,
    retry_after_s: u64,
}

impl Room {
    pub(super) fn new(bytes_max: usize, retry_after_s: u64) -> Self {
        Room { units: Arc::new(Semaphore::new((bytes_max / ROOM_UNIT_BYTES).min(Semaphore::MAX_PERMITS))), retry_after_s }
    }

    /// The same room, to which whoever is refused is asked back after another time.
    pub(super) fn asking_back(&self, retry_after_s: u64) -> Self {
        Room { units: Arc::clone(&self.units), retry_after_s }
    }
}

enum Source {
    Plain(Incoming),
    Gzip(GzipDecoder<Encoded>),
    Zstd(ZstdDecoder<Encoded>),
    /// Handed on or discarded.
    Gone,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, ratio_max: u64) -> Self {
        RequestBody { source: Source::Plain(incoming), given: 0, ratio_max, spare: BytesMut::new(), stalled: false, held: None }
    }

    /// From here on gives the body decoded. Meant to be called once, before the
    /// first read.
    pub(super) fn decode(&mut self, coding: Coding) {
        if coding == Coding::Identity {
            return;
        }
        self.source = match std::mem::replace(&mut self.source, Source::Gone) {
            Source::Plain(incoming) => match coding {
                Coding::Identity => Source::Plain(incoming),
                Coding::Gzip => {
                    let mut decoder = GzipDecoder::new(Encoded::new(incoming));
                    // `cat a.gz b.gz` is a gzip file (RFC 1952, 2.2).
                    decoder.multiple_members(true);
                    Source::Gzip(decoder)
                }
                Coding::Zstd => {
                    let window = [DParameter::window_log_max(ZSTD_WINDOW_LOG)];
                    let mut decoder = ZstdDecoder::with_params(Encoded::new(incoming), &window);
                    decoder.multiple_members(true);
                    Source::Zstd(decoder)
                }
            },
            decoded => decoded,
        };
    }

    /// Takes the body out, for a task that outlives the handler.
    pub(super) fn take(&mut self) -> RequestBody {
        RequestBody {
            source: std::mem::replace(&mut self.source, Source::Gone),
            given: self.given,
            ratio_max: self.ratio_max,
            spare: std::mem::take(&mut self.spare),
            stalled: self.stalled,
            held: None,
        }
    }

    /// The next bytes; `None` at the end.
    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Problem>>> {
        let (read, encoded) = match &mut self.source {
            Source::Gone => return Poll::Ready(None),
            Source::Plain(incoming) => return poll_data(incoming, cx).map_err(|_| cut()),
            Source::Gzip(decoder) => {
                let read = ready!(poll_read(decoder, &mut self.spare, cx));
                (read, decoder.get_ref())
            }
            Source::Zstd(decoder) => {
                let read = ready!(poll_read(decoder, &mut self.spare, cx));
                (read, decoder.get_ref())
            }
        };
        let taken = encoded.taken;
        match read {
            Ok(0) => Poll::Ready(None),
            Ok(bytes) => {
                self.given += bytes as u64;
                if self.given.saturating_sub(RATIO_FREE_BYTES) > taken.saturating_mul(self.ratio_max) {
                    let detail = format!(
                        "{taken} bytes have expanded to {} so far, more than {} to 1; send it with less compression or in smaller parts.",
                        self.given, self.ratio_max
                    );
                    return Poll::Ready(Some(Err(Problem::new(Cause::ExpansionRatio, detail))));
                }
                Poll::Ready(Some(Ok(self.spare.split().freeze())))
            }
            Err(_) if encoded.failed => Poll::Ready(Some(Err(cut()))),
            Err(_) if taken > encoded.taken_max => Poll::Ready(Some(Err(too_large(encoded.taken_max as usize)))),
            Err(error) => {
                let detail = format!("After {} bytes of expanded body: {error}.", self.given);
                Poll::Ready(Some(Err(Problem::new(Cause::Corrupt, detail))))
            }
        }
    }

    /// The next bytes, waited for no longer than `idle`; `None` at the end.
    pub(super) async fn next(&mut self, idle: Duration) -> Option<Result<Bytes, Problem>> {
        match timeout(idle, poll_fn(|cx| self.poll_chunk(cx))).await {
            Ok(chunk) => chunk,
            Err(_) => {
                self.stalled = true;
                let detail = format!("No further byte of the body within {} ms.", idle.as_millis());
                Some(Err(Problem::new(Cause::BodyIdle, detail)))
            }
        }
    }

    /// The next bytes if they are there already.
    pub(super) async fn ready(&mut self) -> Poll<Option<Result<Bytes, Problem>>> {
        poll_fn(|cx| Poll::Ready(self.poll_chunk(cx))).await
    }

    /// The whole body, decoded, of `bytes_max` at most. Its bytes count against
    /// `room` as long as this body lives.
    pub(super) async fn collect(&mut self, bytes_max: usize, idle: Duration, total: Duration, room: &Room) -> Result<Bytes, Problem> {
        let announced = match &mut self.source {
            Source::Plain(incoming) => incoming.size_hint().lower(),
            Source::Gzip(decoder) => decoder.get_mut().bound(bytes_max),
            Source::Zstd(decoder) => decoder.get_mut().bound(bytes_max),
            Source::Gone => 0,
        };
        // Refused before a byte of it is read: a client that asked with
        // `Expect: 100-continue` need not send it at all.
        if announced > bytes_max as u64 {
            return Err(too_large(bytes_max));
        }
        match timeout(total, self.collect_within(bytes_max, idle, room)).await {
            Ok(collected) => collected,
            Err(_) => {
                self.stalled = true;
                let detail = format!("The body was not complete after {} ms.", total.as_millis());
                Err(Problem::new(Cause::BodySlow, detail))
            }
        }
    }

    async fn collect_within(&mut self, bytes_max: usize, idle: Duration, room: &Room) -> Result<Bytes, Problem> {
        let Some(first) = self.next(idle).await.transpose()? else { return Ok(Bytes::new()) };
        self.check_size(first.len(), bytes_max)?;
        self.hold(first.len(), room)?;
        let Some(second) = self.next(idle).await.transpose()? else { return Ok(first) };
        let mut whole = BytesMut::with_capacity((first.len() + second.len()).max(CHUNK_BYTES));
        whole.extend_from_slice(&first);
        let mut chunk = second;
        loop {
            self.check_size(whole.len() + chunk.len(), bytes_max)?;
            self.hold(whole.len() + chunk.len(), room)?;
            whole.extend_from_slice(&chunk);
            match self.next(idle).await.transpose()? {
                Some(next) => chunk = next,
                None => return Ok(whole.freeze()),
            }
        }
    }

    /// Takes room for this many bytes in all.
    fn hold(&mut self, bytes: usize, room: &Room) -> Result<(), Problem> {
        // Connections and their streams bound the small ones, which a few large
        // ones must not keep out.
        if bytes <= CHUNK_BYTES {
            return Ok(());
        }
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(ROOM_UNIT_BYTES).saturating_sub(held);
        let permit = u32::try_from(more).ok().and_then(|more| Arc::clone(&room.units).try_acquire_many_owned(more).ok());
        match (permit, &mut self.held) {
            (Some(permit), Some(held)) => held.merge(permit),
            (Some(permit), empty) => *empty = Some(permit),
            (None, _) => {
                let detail = format!("Nothing of the request was taken. Send it again in {} s.", room.retry_after_s);
                return Err(Problem::new(Cause::Crowded, detail).retry_after(room.retry_after_s));
            }
        }
        Ok(())
    }

    fn check_size(&self, bytes: usize, bytes_max: usize) -> Result<(), Problem> {
        match &self.source {
            _ if bytes <= bytes_max => Ok(()),
            Source::Plain(_) | Source::Gone => Err(too_large(bytes_max)),
            Source::Gzip(_) | Source::Zstd(_) => {
                let detail = format!("At most {bytes_max} bytes are taken, counted once the body is expanded.");
                Err(Problem::new(Cause::ExpandedTooLarge, detail))
            }
        }
    }

    /// Reads what is left, within bounds and without anybody waiting for it. A
    /// connection that is closed with bytes unread is reset, and the client may
    /// lose the answer that says why.
    ///
    /// Returns whether an HTTP/1.1 connection has a chance to go on afterwards.
    pub(super) fn discard(mut self) -> bool {
        let mut incoming = match std::mem::replace(&mut self.source, Source::Gone) {
            Source::Plain(incoming) => incoming,
            Source::Gzip(decoder) => decoder.into_inner().incoming,
            Source::Zstd(decoder) => decoder.into_inner().incoming,
            Source::Gone => return true,
        };
        if incoming.is_end_stream() {
            return true;
        }
        if self.stalled || incoming.size_hint().lower() > DISCARD_BYTES_MAX as u64 {
            return false;
        }
        tokio::spawn(timeout(DISCARD_TIMEOUT, async move {
            let mut discarded = 0;
            while let Some(Ok(chunk)) = poll_fn(|cx| poll_data(&mut incoming, cx)).await {
                discarded += chunk.len();
                if discarded > DISCARD_BYTES_MAX {
                    return;
                }
            }
        }));
        true
    }
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(Cause::BodyTooLarge, format!("At most {bytes_max} bytes are taken."))
}

fn cut() -> Problem {
    Problem::new(Cause::BodyCut, "The connection or its framing broke off inside the body.")
}

/// The next data frame; trailers carry nothing for us.
fn poll_data(incoming: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
    loop {
        match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                Ok(_) | Err(_) => {}
            },
        }
    }
}

/// `read_buf` keeps nothing between polls, so that its future can be made anew
/// for each.
fn poll_read(decoder: &mut (impl AsyncRead + Unpin), spare: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    spare.reserve(CHUNK_BYTES);
    let read = pin!(decoder.read_buf(spare));
    read.poll(cx)
}

/// The body as it was sent, for a decoder to read from.
struct Encoded {
    incoming: Incoming,
    chunk: Bytes,
    /// Bytes that came in so far.
    taken: u64,
    /// How many may. What comes out is counted apart: empty members and skippable frames
    /// are input without any output.
    taken_max: u64,
    /// Whether the body itself broke off, as opposed to its coding.
    failed: bool,
}

impl Encoded {
    fn new(incoming: Incoming) -> Self {
        Encoded { incoming, chunk: Bytes::new(), taken: 0, taken_max: u64::MAX, failed: false }
    }

    /// From here on takes no more than so many bytes. Gives how many are announced.
    fn bound(&mut self, bytes_max: usize) -> u64 {
        self.taken_max = bytes_max as u64;
        self.incoming.size_hint().lower()
    }
}

impl AsyncBufRead for Encoded {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.chunk.is_empty() {
            match ready!(poll_data(&mut this.incoming, cx)) {
                None => {}
                Some(Ok(chunk)) => {
                    this.taken += chunk.len() as u64;
                    if this.taken > this.taken_max {
                        return Poll::Ready(Err(io::Error::other("more than is taken")));
                    }
                    this.chunk = chunk;
                }
                Some(Err(error)) => {
                    this.failed = true;
                    return Poll::Ready(Err(io::Error::other(error)));
                }
            }
        }
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(self: Pin<&mut Self>, bytes: usize) {
        let this = self.get_mut();
        let _ = this.chunk.split_to(bytes.min(this.chunk.len()));
    }
}

impl AsyncRead for Encoded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let filled = ready!(self.as_mut().poll_fill_buf(cx))?;
        let bytes = filled.len().min(buffer.remaining());
        buffer.put_slice(&filled[..bytes]);
        self.consume(bytes);
        Poll::Ready(Ok(()))
    }
}

/// An answer's body.
pub(super) enum ResponseBody {
    Full(Option<Bytes>),
    Stream(Frames),
}

impl ResponseBody {
    pub(super) fn full(body: impl Into<Bytes>) -> Self {
        let body = body.into();
        ResponseBody::Full((!body.is_empty()).then_some(body))
    }
}

/// The receiving end of a stream of answers.
pub(super) struct Frames {
    frames: mpsc::Receiver<Bytes>,
    complete: Arc<AtomicBool>,
}

/// The sending end. A stream that is dropped without `complete` is cut off, so
/// that a client cannot take half of the answers for all of them.
pub(super) struct FrameSender {
    frames: mpsc::Sender<Bytes>,
    complete: Arc<AtomicBool>,
}

/// The answers broke off before their end.
#[derive(Debug, thiserror::Error)]
#[error("the answers broke off before their end")]
pub(super) struct Cut;

/// A body whose frames are sent from elsewhere, of which `capacity` may wait.
pub(super) fn frames(capacity: usize) -> (FrameSender, Frames) {
    let (sender, receiver) = mpsc::channel(capacity);
    let complete = Arc::new(AtomicBool::new(false));
    let frames = Frames { frames: receiver, complete: Arc::clone(&complete) };
    (FrameSender { frames: sender, complete }, frames)
}

impl FrameSender {
    /// Waits for room; an error means that the client is gone, or reads so
    /// slowly that it may as well be.
    pub(super) async fn send(&self, frame: Bytes, patience: Duration) -> Result<(), Cut> {
        match timeout(patience, self.frames.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Cut),
        }
    }

    /// Ends the body in good order.
    pub(super) fn complete(self) {
        self.complete.store(true, Ordering::Release);
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            ResponseBody::Full(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            ResponseBody::Stream(stream) => match ready!(stream.frames.poll_recv(cx)) {
                Some(frame) => Poll::Ready(Some(Ok(Frame::data(frame)))),
                None if stream.complete.load(Ordering::Acquire) => Poll::Ready(None),
                None => Poll::Ready(Some(Err(Cut))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, ResponseBody::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Full(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            ResponseBody::Stream(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn coding(values: &[&'static str]) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
        }
        Coding::of(&headers).ok()
    }

    #[test]
    fn one_known_coding_is_taken() {
        assert_eq!(coding(&[]), Some(Coding::Identity));
        assert_eq!(coding(&["identity"]), Some(Coding::Identity));
        assert_eq!(coding(&["GZIP"]), Some(Coding::Gzip));
        assert_eq!(coding(&["x-gzip"]), Some(Coding::Gzip));
        assert_eq!(coding(&["identity, zstd"]), Some(Coding::Zstd));
    }

    #[test]
    fn unknown_and_nested_codings_are_refused() {
        assert_eq!(coding(&["br"]), None);
        assert_eq!(coding(&["gzip, gzip"]), None);
        assert_eq!(coding(&["gzip", "zstd"]), None);
    }

    #[tokio::test]
    async fn a_stream_that_is_dropped_early_ends_in_an_error() {
        for complete in [true, false] {
            let (sender, frames) = frames(1);
            sender.send(Bytes::from_static(b"x"), Duration::from_secs(1)).await.expect("room");
            if complete {
                sender.complete();
            } else {
                drop(sender);
            }
            let mut body = ResponseBody::Stream(frames);
            let first = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            assert!(matches!(first, Some(Ok(_))));
            let last = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            assert_eq!(last.is_none(), complete);
        }
    }
}
