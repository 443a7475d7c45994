//! Sends a file of events to a server and counts the answers while it does.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::sync::{mpsc, oneshot};

use super::client::{Client, Target, Upload, refusal};
use super::exit::{Exit, Failed, Or as _, Outcome, failed};
use super::tally::Tally;

const NDJSON: &str = "application/x-ndjson";

/// Bytes read at once, and pieces that may wait between the file and the socket.
const PIECE_BYTES: usize = 64 * 1024;
const PIECES_MAX: usize = 8;
/// How long to wait for the reader of the file once the answers have ended.
const FEED_PATIENCE: Duration = Duration::from_millis(500);
/// Longest answer that is read; an answer has at most as many findings as the
/// server's limits allow.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How a file is packed, told by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
            _ => Packing::Plain,
        }
    }
}

/// Events to be sent: a file, or standard input.
pub struct Input {
    head: Vec<u8>,
    rest: Box<dyn Read + Send>,
    pub packing: Packing,
    /// Length as it is sent, where that is known.
    pub bytes: Option<u64>,
}

impl Input {
    /// Opens a file, `-` for standard input.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let (mut rest, bytes): (Box<dyn Read + Send>, _) = if path == Path::new("-") {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            let metadata = file.metadata().with_context(|| format!("cannot read {}", path.display()))?;
            anyhow::ensure!(!metadata.is_dir(), "{} is a folder; name a file of events", path.display());
            (Box::new(file), metadata.is_file().then_some(metadata.len()))
        };
        let mut head = vec![0; 4];
        let mut filled = 0;
        while filled < head.len() {
            match rest.read(&mut head[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
            }
        }
        head.truncate(filled);
        Ok(Input { packing: Packing::of(&head), head, rest, bytes })
    }

    /// Gives the last quarter only once `gate` is dropped. Where the length is
    /// not known nothing is held back.
    pub fn holding_back(mut self, gate: std::sync::mpsc::Receiver<()>) -> Self {
        if let Some(bytes) = self.bytes {
            self.rest = Box::new(Held { rest: self.rest, before: bytes / 4 * 3, gate });
        }
        self
    }

    /// Counts the events without sending them.
    pub fn count(mut self) -> anyhow::Result<Option<u64>> {
        let mut counter = Counter::new(self.packing);
        counter.add(&self.head)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match self.rest.read(&mut piece)? {
                0 => return counter.finish().map_err(Into::into),
                count => counter.add(&piece[..count])?,
            }
        }
    }
}

/// A reader that stops at a place until a gate opens.
struct Held {
    rest: Box<dyn Read + Send>,
    /// Bytes that are given before.
    before: u64,
    gate: std::sync::mpsc::Receiver<()>,
}

impl Read for Held {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.before == 0 {
            // Nothing is ever sent: this returns when the other end is gone, and
            // from then on at once.
            let _ = self.gate.recv();
            return self.rest.read(into);
        }
        let room = into.len().min(usize::try_from(self.before).unwrap_or(usize::MAX));
        let count = self.rest.read(&mut into[..room])?;
        self.before -= count as u64;
        Ok(count)
    }
}

/// Counts lines that are not blank.
#[derive(Default)]
struct LineCount {
    lines: u64,
    begun: bool,
}

impl Write for LineCount {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            if self.begun || has_text(&bytes[from..end]) {
                self.lines += 1;
            }
            self.begun = false;
            from = end + 1;
        }
        self.begun |= has_text(&bytes[from..]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn has_text(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| !byte.is_ascii_whitespace())
}

/// Counts the events in what is sent, expanding it on the side where needed.
enum Counter {
    Plain(LineCount),
    Gzip(Box<flate2::write::MultiGzDecoder<LineCount>>),
    /// Not counted: this would be the command line's only use of a decoder.
    Unknown,
}

impl Counter {
    fn new(packing: Packing) -> Self {
        match packing {
            Packing::Plain => Counter::Plain(LineCount::default()),
            Packing::Gzip => Counter::Gzip(Box::new(flate2::write::MultiGzDecoder::new(LineCount::default()))),
            Packing::Zstd => Counter::Unknown,
        }
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Counter::Plain(lines) => lines.write_all(bytes),
            Counter::Gzip(decoder) => decoder.write_all(bytes),
            Counter::Unknown => Ok(()),
        }
    }

    fn finish(self) -> io::Result<Option<u64>> {
        let lines = match self {
            Counter::Plain(lines) => lines,
            Counter::Gzip(decoder) => decoder.finish()?,
            Counter::Unknown => return Ok(None),
        };
        Ok(Some(lines.lines + u64::from(lines.begun)))
    }
}

/// What came of sending a file.
pub struct Sent {
    /// Events in what was sent; absent where it was not counted (zstd).
    pub events: Option<u64>,
    /// Bytes handed to the connection.
    pub bytes: u64,
    pub tally: Tally,
    /// From the first byte sent to the last answer read.
    pub elapsed: Duration,
    /// What ended the answers early, if anything did.
    pub ended: Option<Failed>,
}

/// Sends `input` to the server, and counts the answers as they come back.
///
/// `sent` is told the bytes of each piece as it leaves, `answered` the number
/// of answers so far after each piece of the response.
pub async fn send(
    target: &Target,
    input: Input,
    minimal: bool,
    mut tally: Tally,
    sent: impl Fn(u64) + Send + 'static,
    mut answered: impl FnMut(&Tally),
) -> Outcome<Sent> {
    let mut client = Client::connect(target).await?;
    let mut headers = vec![("content-type", NDJSON), ("accept", NDJSON)];
    match input.packing {
        Packing::Plain => {}
        Packing::Gzip => headers.push(("content-encoding", "gzip")),
        Packing::Zstd => headers.push(("content-encoding", "zstd")),
    }
    if minimal {
        headers.push(("prefer", "return=minimal"));
    }
    let begun = Instant::now();
    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
    let (report, fed) = oneshot::channel();
    // A thread of its own, and never joined: a read from standard input may
    // never return, and must not keep the program from ending.
    thread::spawn(move || {
        let _ = report.send(feed(input, &pieces, sent));
    });
    let response = client.request("POST", "/v1/events", &headers, Upload::Stream(receiver)).await?;
    // A stream in which nothing is valid is refused line by line, too.
    let is_answers = response.headers().get("content-type").is_some_and(|kind| kind == NDJSON);
    let status = response.status();
    if !is_answers {
        let error = refusal("POST /v1/events", response).await;
        return Err(if status.is_success() {
            failed(Exit::Failed, "this is not an Ephor server: its answer is not a stream of verdicts")
        } else {
            error
        });
    }
    let mut body = response.into_body();
    let mut waiting = BytesMut::new();
    let mut ended = None;
    while let Some(frame) = body.frame().await {
        let frame = match frame.with_context(|| format!("lost the connection to {target}")).or_exit(Exit::Unreachable) {
            Ok(frame) => frame,
            Err(lost) => {
                ended = Some(lost);
                break;
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        lines(&mut waiting, &data, |line| tally.add(line))?;
        if waiting.len() > ANSWER_BYTES_MAX {
            return Err(failed(Exit::Failed, format!("an answer is longer than {ANSWER_BYTES_MAX} bytes")));
        }
        answered(&tally);
    }
    if ended.is_none() && has_text(&waiting) {
        tally.add(&waiting)?;
        answered(&tally);
    }
    let elapsed = begun.elapsed();
    let ended = tally.ended.take().or(ended);
    // The file is read to its end when the server has answered to the end; if
    // it stopped before, the thread may still wait for standard input.
    let (events, bytes) = match tokio::time::timeout(FEED_PATIENCE, fed).await {
        Ok(Ok(fed)) => fed.context("cannot read the events")?,
        _ => (None, 0),
    };
    Ok(Sent { events, bytes, tally, elapsed, ended })
}

/// Reads to the end or until nobody takes the pieces any more; returns the
/// number of events and of bytes that were taken.
fn feed(mut input: Input, pieces: &mpsc::Sender<io::Result<Bytes>>, sent: impl Fn(u64)) -> io::Result<(Option<u64>, u64)> {
    let mut counter = Some(Counter::new(input.packing));
    let mut bytes = 0;
    let mut piece = std::mem::take(&mut input.head);
    let result = loop {
        // A file that does not expand is the server's to refuse: it says where.
        if counter.as_mut().is_some_and(|counter| counter.add(&piece).is_err()) {
            counter = None;
        }
        let length = piece.len() as u64;
        if length > 0 && pieces.blocking_send(Ok(Bytes::from(piece))).is_err() {
            break Ok(());
        }
        bytes += length;
        sent(length);
        piece = vec![0; PIECE_BYTES];
        match input.rest.read(&mut piece) {
            Ok(0) => break Ok(()),
            Ok(count) => piece.truncate(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => piece.clear(),
            Err(error) => break Err(error),
        }
    };
    if let Err(error) = result {
        // Ends the request as broken, so that the server does not take a part
        // of the file for the whole.
        let _ = pieces.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
        return Err(error);
    }
    Ok((counter.and_then(|counter| counter.finish().ok()).flatten(), bytes))
}

/// Calls `each` with every complete line of `waiting` and `data`, and leaves
/// the incomplete rest in `waiting`.
fn lines(waiting: &mut BytesMut, data: &[u8], mut each: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut from = 0;
    for end in memchr::memchr_iter(b'\n', data) {
        let part = &data[from..end];
        from = end + 1;
        if waiting.is_empty() {
            if has_text(part) {
                each(part)?;
            }
        } else {
            waiting.extend_from_slice(part);
            if has_text(waiting) {
                each(waiting)?;
            }
            waiting.clear();
        }
    }
    waiting.extend_from_slice(&data[from..]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let text = b"one\r\n\n  \ntwo\nthree";
        for size in 1..text.len() {
            let (mut waiting, mut seen, mut count) = (BytesMut::new(), Vec::new(), LineCount::default());
            for piece in text.chunks(size) {
                count.write_all(piece).expect("counting does not fail");
                lines(&mut waiting, piece, |line| {
                    seen.push(String::from_utf8_lossy(line).trim().to_string());
                    Ok(())
                })
                .expect("nothing fails");
            }
            assert_eq!((seen, &waiting[..]), (vec!["one".to_string(), "two".to_string()], &b"three"[..]));
            assert_eq!(Counter::Plain(count).finish().expect("counting does not fail"), Some(3));
        }
    }

    #[test]
    fn packing_is_told_by_the_first_bytes() {
        assert_eq!(Packing::of(b"{\"sp"), Packing::Plain);
        assert_eq!(Packing::of(b""), Packing::Plain);
        assert_eq!(Packing::of(&[0x1f, 0x8b, 8, 0]), Packing::Gzip);
        assert_eq!(Packing::of(&[0x28, 0xb5, 0x2f, 0xfd]), Packing::Zstd);
    }
}
