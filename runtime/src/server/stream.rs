//! A stream of events, one JSON line each, answered line by line while it is
//! still being sent.
//!
//! Two tasks a stream, so that a machine with two cores has something to
//! overlap: the reader decodes lines and submits what has arrived; the writer
//! waits for the verdicts and renders them. Between them a bounded queue: with
//! it full the reader stops reading, and flow control stops the client. Nothing
//! is held back to fill a batch: when no further byte is there, what there is
//! goes.
//!
//! The status is 200 as soon as one line is a valid event. Before that, answers
//! are held back a little, so that a body without any valid event is a 400 with
//! its lines' errors; a client that sends one bad line and waits gets its answer
//! after `HOLD`, with a 200.
//!
//! When the client goes away, what it sent in whole lines and the runtime took
//! is still judged. Both tasks end by themselves, each on seeing the other's end
//! of a queue closed.

use std::mem;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::answer::{self, At, Summary};
use super::body::{self, Cut, FrameSender, RequestBody, ResponseBody};
use super::clients::Ticket;
use super::events::stopped;
use super::problem::{Cause, Problem};
use super::{Phase, Shared};
use crate::event::Event;
use crate::ingest::{self, Lines, Rejection};
use crate::runtime::{Judged, Pending, Stopped};
use crate::trace::Context;
use crate::verdict::Verdict;

/// Rendered submissions that wait for the client to read.
const FRAMES_MAX: usize = 4;
/// Bytes of answers that are handed on before their group is complete.
const OUT_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of errors held back while no line was valid.
const HOLD_BYTES_MAX: usize = 64 * 1024;
/// How long they are held back.
const HOLD: Duration = Duration::from_millis(250);
/// Bytes of a typical answer without findings, to make room once.
const ANSWER_BYTES: usize = 128;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Answers a stream. Returns with the head of the answer, the rest follows.
pub(super) async fn post(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    ticket: Option<Ticket>,
    trace: Option<Context>,
    body: RequestBody,
) -> Result<Response<ResponseBody>, Problem> {
    let limits = &shared.limits;
    let minimal = prefers_minimal(headers);
    // The writer holds one submission beside those in the queue.
    let (messages_out, messages_in) = mpsc::channel(limits.stream_submissions_max.saturating_sub(1).max(1));
    let (frames_out, frames_in) = body::frames(FRAMES_MAX);
    let (head_out, head_in) = oneshot::channel();
    let reader = Reader {
        shared: Arc::clone(shared),
        ticket,
        trace,
        lines: Lines::new(shared.options.ingest.event_bytes_max),
        line: 0,
        settled: 0,
        events: Vec::new(),
        event_lines: Vec::new(),
        faulty: Vec::new(),
        bytes: 0,
        messages: messages_out,
    };
    let writer = Writer {
        shared: Arc::clone(shared),
        minimal,
        out: Vec::new(),
        summary: Summary::default(),
        head: Some(head_out),
        held_since: None,
        patience: limits.write_timeout(),
    };
    tokio::spawn(reader.run(body));
    tokio::spawn(async move {
        if writer.run(messages_in, &frames_out).await.is_ok() {
            frames_out.complete();
        }
    });
    let (status, body) = match head_in.await {
        Ok(Head::Open) => (StatusCode::OK, ResponseBody::Stream(frames_in)),
        Ok(Head::Refused { status, lines }) => (status, ResponseBody::full(lines)),
        Ok(Head::Problem(problem)) => return Err(problem),
        Err(_) => return Err(Problem::new(Cause::Internal, "The stream's writer ended without an answer.")),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    if minimal {
        response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("return=minimal"));
    }
    Ok(response)
}

/// Whether the client wants clean events left out (RFC 7240, `return=minimal`).
fn prefers_minimal(headers: &HeaderMap) -> bool {
    headers
        .get_all(PREFER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|preference| preference.split(';').next())
        .filter_map(|preference| preference.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("return"))
        .is_some_and(|(_, value)| value.trim().trim_matches('"') == "minimal")
}

/// From the reader to the writer.
enum Message {
    Group(Group),
    /// The body is over, well or not; `line` is the first that was not judged.
    End {
        problem: Option<Problem>,
        line: u64,
    },
}

/// Consecutive lines that were there together.
struct Group {
    /// Of its valid events, if there are any.
    pending: Option<Pending>,
    /// For each of those the line that it stood on.
    lines: Vec<u64>,
    faulty: Vec<Faulty>,
    /// Its first line.
    line: u64,
}

/// A line that is no event.
struct Faulty {
    /// How many of the group's events stand before it.
    events_before: usize,
    line: u64,
    /// Absent: the line is too long.
    rejection: Option<Box<Rejection>>,
}

/// Why the reader ends before the body does.
enum Early {
    /// Nobody waits for the answers.
    Gone,
    Problem(Problem),
}

struct Reader {
    shared: Arc<Shared>,
    /// Whom it is counted for, where clients are bounded.
    ticket: Option<Ticket>,
    /// The trace that the request is part of.
    trace: Option<Context>,
    lines: Lines,
    /// Number of the line that was taken last.
    line: u64,
    /// Of these, the ones that were handed to the writer.
    settled: u64,
    events: Vec<Event>,
    /// For each of those the line that it stood on.
    event_lines: Vec<u64>,
    faulty: Vec<Faulty>,
    /// Bytes of the events' lines.
    bytes: usize,
    messages: mpsc::Sender<Message>,
}

impl Reader {
    async fn run(mut self, mut body: RequestBody) {
        let read = self.read(&mut body).await;
        // The client finds the reason more easily if its writes still succeed.
        body.discard();
        let problem = match read {
            Ok(()) => None,
            Err(Early::Problem(problem)) => Some(problem),
            Err(Early::Gone) => return,
        };
        let line = self.settled + 1;
        let _ = self.messages.send(Message::End { problem, line }).await;
    }

    async fn read(&mut self, body: &mut RequestBody) -> Result<(), Early> {
        let idle = self.shared.limits.stream_idle_timeout();
        let mut phase = self.shared.phase.clone();
        loop {
            let chunk = tokio::select! {
                biased;
                _ = phase.wait_for(|phase| *phase != Phase::Running) => Some(Err(stopping())),
                chunk = body.next(idle) => chunk,
                () = self.messages.closed() => return Err(Early::Gone),
            };
            let mut next = Poll::Ready(chunk);
            // One round for each chunk that is already there.
            while let Poll::Ready(chunk) = next {
                match chunk {
                    None => {
                        if let Some(line) = self.lines.finish() {
                            self.take(line.ok());
                        }
                        return self.submit().await;
                    }
                    Some(Err(problem)) => {
                        self.submit().await?;
                        return Err(Early::Problem(problem));
                    }
                    Some(Ok(chunk)) => self.lines.push(chunk),
                }
                while let Some(line) = self.lines.next() {
                    self.take(line.ok());
                    if self.is_full() {
                        self.submit().await?;
                    }
                }
                next = if *phase.borrow() == Phase::Running { body.ready().await } else { Poll::Pending };
            }
            self.submit().await?;
        }
    }

    /// Decodes one line; `None` stands for one that is too long.
    fn take(&mut self, line: Option<Bytes>) {
        self.line = self.lines.number();
        // Every line counts, for what is wrong with one is held as long.
        self.bytes += line.as_ref().map_or(0, Bytes::len);
        let rejection = match line {
            None => {
                self.shared.counters.rejected(Cause::LineTooLong.kind());
                None
            }
            Some(text) => match ingest::structured(&text, &self.shared.options.ingest) {
                Ok(event) => {
                    self.events.push(event);
                    self.event_lines.push(self.line);
                    return;
                }
                Err(rejection) => {
                    self.shared.counters.rejected(rejection.kind.name());
                    Some(Box::new(rejection))
                }
            },
        };
        self.faulty.push(Faulty { events_before: self.events.len(), line: self.line, rejection });
    }

    fn is_full(&self) -> bool {
        let limits = &self.shared.limits;
        self.events.len() + self.faulty.len() >= limits.stream_batch_events_max || self.bytes >= limits.stream_batch_bytes_max
    }

    /// Hands on what has come together, waiting for room.
    async fn submit(&mut self) -> Result<(), Early> {
        if self.events.is_empty() && self.faulty.is_empty() {
            return Ok(());
        }
        let count = self.events.len();
        if let Some(ticket) = &self.ticket {
            ticket.wait(count + self.faulty.len(), self.bytes, &mut self.shared.phase.clone()).await;
        }
        let pending = if count == 0 {
            None
        } else {
            // As many as this time are likely next time.
            let events = mem::replace(&mut self.events, Vec::with_capacity(count));
            match self.shared.runtime.submit_in(events, self.trace.as_ref()).await {
                Ok(pending) => Some(pending),
                Err(Stopped) => return Err(Early::Problem(stopped(&self.shared, FROM_LINE))),
            }
        };
        let lines = mem::replace(&mut self.event_lines, Vec::with_capacity(count));
        let group = Group { pending, lines, faulty: mem::take(&mut self.faulty), line: self.settled + 1 };
        self.settled = self.line;
        self.bytes = 0;
        self.messages.send(Message::Group(group)).await.map_err(|_| Early::Gone)
    }
}

fn stopping() -> Problem {
    Problem::new(Cause::Stopping, format!("The server is about to stop. {FROM_LINE}"))
}

/// What an end before the end means for the lines that are left.
const FROM_LINE: &str = "The lines from `from_line` on were not judged; send them again.";

/// How an answer begins.
enum Head {
    /// 200, the lines follow.
    Open,
    /// 400, or what the body's own problem asks for; these are all the lines.
    Refused { status: StatusCode, lines: Vec<u8> },
    /// No line at all.
    Problem(Problem),
}

struct Writer {
    shared: Arc<Shared>,
    /// Leave clean events out.
    minimal: bool,
    /// Rendered, not sent yet.
    out: Vec<u8>,
    summary: Summary,
    /// Absent once the answer has begun.
    head: Option<oneshot::Sender<Head>>,
    /// When the first of the errors came that are held back.
    held_since: Option<Instant>,
    patience: Duration,
}

impl Writer {
    async fn run(mut self, mut messages: mpsc::Receiver<Message>, frames: &FrameSender) -> Result<(), Cut> {
        loop {
            let message = match self.held_since {
                Some(since) if self.head.is_some() => match timeout_at(since + HOLD, messages.recv()).await {
                    Ok(message) => message,
                    Err(_) => {
                        self.open()?;
                        self.flush(frames).await?;
                        continue;
                    }
                },
                _ => messages.recv().await,
            };
            match message {
                // The reader broke down, or found nobody waiting.
                None => return Err(Cut),
                Some(Message::Group(group)) => {
                    let line = group.line;
                    if self.group(group, frames).await.is_err() {
                        let unknown = "It is not known whether the lines from `from_line` on were judged; send them again: what was recorded is answered from the record.";
                        let problem = stopped(&self.shared, unknown);
                        return self.end(Some(problem), line, frames).await;
                    }
                    if self.head.is_some() && (self.summary.events > 0 || self.out.len() > HOLD_BYTES_MAX) {
                        self.open()?;
                    }
                    if self.head.is_none() {
                        self.flush(frames).await?;
                    } else {
                        self.held_since.get_or_insert_with(Instant::now);
                    }
                }
                Some(Message::End { problem, line }) => return self.end(problem, line, frames).await,
            }
        }
    }

    /// Renders a group: verdicts and errors in the order of their lines.
    async fn group(&mut self, group: Group, frames: &FrameSender) -> Result<(), Stopped> {
        let Judged { events, answers } = match group.pending {
            Some(pending) => pending.await?,
            None => Judged { events: Vec::new(), answers: Vec::new() },
        };
        if !self.minimal {
            self.out.reserve(events.len() * ANSWER_BYTES);
        }
        let mut faulty = group.faulty.into_iter().peekable();
        for (index, ((event, answer), line)) in events.iter().zip(&answers).zip(group.lines).enumerate() {
            while let Some(one) = faulty.next_if(|one| one.events_before <= index) {
                self.fault(&one);
            }
            self.summary.count(answer);
            if !(self.minimal && answer.verdict().is_some_and(Verdict::is_clean)) {
                answer::answer(&mut self.out, event, answer, Some(At::Line(line)));
                self.out.push(b'\n');
            }
            // A few hostile findings on each event would add up.
            if self.out.len() > OUT_BYTES_MAX && self.head.is_none() && self.flush(frames).await.is_err() {
                return Ok(());
            }
        }
        for one in faulty {
            self.fault(&one);
        }
        Ok(())
    }

    fn fault(&mut self, faulty: &Faulty) {
        self.summary.rejected += 1;
        let at = At::Line(faulty.line);
        match &faulty.rejection {
            Some(rejection) => answer::rejection(&mut self.out, rejection, at),
            None => answer::no_event(&mut self.out, Cause::LineTooLong, "The line is longer than an event may be; it was skipped.", at),
        }
        self.out.push(b'\n');
    }

    async fn end(mut self, problem: Option<Problem>, line: u64, frames: &FrameSender) -> Result<(), Cut> {
        let head = self.head.take();
        if let Some(head) = head {
            let answer = match problem {
                Some(problem) if self.summary.rejected == 0 => Head::Problem(problem),
                None if self.summary.rejected == 0 => Head::Problem(Problem::new(Cause::NothingValid, "The body has no line.")),
                Some(problem) => {
                    self.problem(&problem, line);
                    Head::Refused { status: problem.cause.status(), lines: self.out }
                }
                None => Head::Refused { status: Cause::NothingValid.status(), lines: self.out },
            };
            return head.send(answer).map_err(|_| Cut);
        }
        // Without it, a client that left out the clean ones could not tell the
        // end of the answers from a cut, nor how many there were.
        if self.minimal {
            self.summary.write(&mut self.out);
            self.out.push(b'\n');
        }
        if let Some(problem) = problem {
            self.problem(&problem, line);
        }
        self.flush(frames).await
    }

    fn problem(&mut self, problem: &Problem, line: u64) {
        answer::end(&mut self.out, problem.cause, &problem.detail, line);
        self.out.push(b'\n');
    }

    fn open(&mut self) -> Result<(), Cut> {
        match self.head.take() {
            Some(head) => head.send(Head::Open).map_err(|_| Cut),
            None => Ok(()),
        }
    }

    async fn flush(&mut self, frames: &FrameSender) -> Result<(), Cut> {
        if self.out.is_empty() {
            return Ok(());
        }
        frames.send(Bytes::from(mem::take(&mut self.out)), self.patience).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal(values: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, HeaderValue::from_static(value));
        }
        prefers_minimal(&headers)
    }

    #[test]
    fn return_minimal_is_found_among_other_preferences() {
        assert!(minimal(&["return=minimal"]));
        assert!(minimal(&["respond-async, wait=10, Return=minimal"]));
        assert!(minimal(&["respond-async", "return = \"minimal\"; foo=bar"]));
    }

    #[test]
    fn other_preferences_are_not_taken_for_it() {
        assert!(!minimal(&[]));
        assert!(!minimal(&["return=representation"]));
        assert!(!minimal(&["minimal"]));
        assert!(!minimal(&["foo; return=minimal"]));
        assert!(!minimal(&["return=representation, return=minimal"]));
    }
}
