//! Traces: whose request this is part of, and what is told of the way that events take.
//!
//! A [`Context`] comes with a request or an event (W3C Trace Context) and goes with it
//! through the runtime. Where nobody is traced, that is an absent pointer and no more.
//! What was traced becomes [`Span`]s for a [`Sink`]; who collects them, and in which
//! protocol, is not known here.

mod way;

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

pub(crate) use way::{Outcome, PolicyTime, Traced, Way};

/// Bytes of a `tracestate` that are carried on (W3C Trace Context, section 3.3.1.5).
const STATE_BYTES_MAX: usize = 512;

/// The place in a trace that something belongs to (W3C Trace Context, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
    /// `tracestate`, as it came.
    state: Option<Arc<str>>,
}

impl Context {
    /// Reads a `traceparent`, and the `tracestate` that came with it. Nothing if it is none:
    /// then a trace begins anew, as the specification says (section 4.3).
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Context> {
        let text = traceparent.trim();
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = hex::<1>(version)?[0];
        // A later version may have more behind the flags; version 0 has not, and 255 is none.
        if version == u8::MAX || version == 0 && parts.next().is_some() {
            return None;
        }
        let (trace, span, flags) = (hex::<16>(trace)?, hex::<8>(span)?, hex::<1>(flags)?[0]);
        if trace == [0; 16] || span == [0; 8] {
            return None;
        }
        let printable =
            |state: &&str| !state.is_empty() && state.len() <= STATE_BYTES_MAX && state.bytes().all(|b| (0x20..0x7f).contains(&b));
        Some(Context { trace, span, flags, state: tracestate.map(str::trim).filter(printable).map(Arc::from) })
    }

    /// A trace that begins here.
    pub fn root(is_sampled: bool) -> Context {
        let (first, second) = (random(), random());
        let mut trace = [0; 16];
        trace[..8].copy_from_slice(&first.to_be_bytes());
        trace[8..].copy_from_slice(&second.to_be_bytes());
        Context { trace, span: random().to_be_bytes(), flags: is_sampled.into(), state: None }
    }

    /// A span of its own in the same trace.
    #[must_use]
    pub fn child(&self) -> Context {
        Context { span: random().to_be_bytes(), ..self.clone() }
    }

    /// Whether somebody wants to see it.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// The trace, in 16 bytes, never all zero.
    pub fn trace(&self) -> [u8; 16] {
        self.trace
    }

    /// The span, in 8 bytes, never all zero.
    pub fn span(&self) -> [u8; 8] {
        self.span
    }

    /// The trace in 32 digits, as logs and exemplars have it.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.trace))
    }

    /// The span in 16 digits.
    pub fn span_id(&self) -> String {
        format!("{:016x}", u64::from_be_bytes(self.span))
    }

    /// `tracestate`, as it came.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The header to send on.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id(), self.span_id(), self.flags & 1)
    }
}

/// Lower-case digits, and only so many.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// A number that nobody else has: it names spans and protects nothing. The keyed hash of a
/// count, and so without a system call.
fn random() -> u64 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    KEY.hash_one(COUNT.fetch_add(1, Ordering::Relaxed)).max(1)
}

/// What took time, and whose part it is.
#[derive(Debug, Clone)]
pub struct Span {
    /// Its own place in the trace.
    pub context: Context,
    /// The span that it is part of; absent at the beginning of a trace.
    pub parent: Option<[u8; 8]>,
    /// Whether that one is another program's.
    pub is_remote: bool,
    /// Which side of an exchange it is.
    pub kind: Kind,
    /// Of a closed set: stages, routes, and names of policies in force.
    pub name: Cow<'static, str>,
    /// From when.
    pub began: Instant,
    /// Until when.
    pub ended: Instant,
    /// Counts and names; never anything of an event's content.
    pub attributes: Vec<(&'static str, Value)>,
    /// Other spans that it has to do with.
    pub links: Vec<Context>,
    /// What failed, if something did; a word of this program.
    pub failure: Option<&'static str>,
}

/// Which side of an exchange a span is (OpenTelemetry, SpanKind).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request that is answered.
    Server,
    /// An event that was made elsewhere.
    Consumer,
    /// Something inside.
    Internal,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A word, or a name.
    Text(Cow<'static, str>),
    /// A count.
    Integer(i64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text.into())
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

/// Where spans go. It never waits: what it has no room for, it drops and counts.
pub trait Sink: fmt::Debug + Send + Sync {
    /// Whether a trace that begins here is wanted: the share of them that is configured.
    fn samples(&self, trace: [u8; 16]) -> bool;

    /// Takes spans that have ended.
    fn take(&self, spans: Vec<Span>);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written_again() {
        let context = Context::parse(PARENT, Some("vendor=1,other=2")).expect("a context");
        assert_eq!((context.traceparent().as_str(), context.is_sampled()), (PARENT, true));
        assert_eq!(context.state(), Some("vendor=1,other=2"));
        let child = context.child();
        assert_eq!((child.trace_id(), child.state()), (context.trace_id(), context.state()));
        assert_ne!(child.span_id(), context.span_id());
        assert!(!Context::parse(&PARENT.replace("-01", "-00"), None).expect("a context").is_sampled());
    }

    #[test]
    fn a_later_version_may_have_more() {
        let later = format!("cc{}-what-comes", &PARENT[2..]);
        assert!(Context::parse(&later, None).is_some_and(|context| context.is_sampled()));
        assert_eq!(Context::parse(&format!("{PARENT}-more"), None), None, "version 0 has no more");
    }

    #[test]
    fn what_is_none_is_none() {
        let zero_trace = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let zero_span = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
        let upper = PARENT.to_uppercase();
        let never = format!("ff{}", &PARENT[2..]);
        for text in ["", "00", "-", "00-4bf9-00f0-01", zero_trace, zero_span, &upper, &never, "00-é", &PARENT[..54]] {
            assert_eq!(Context::parse(text, None), None, "{text}");
        }
        let long = "a".repeat(STATE_BYTES_MAX + 1);
        assert_eq!(Context::parse(PARENT, Some(&long)).expect("a context").state(), None);
        assert_eq!(Context::parse(PARENT, Some("a=\n,b=1")).expect("a context").state(), None);
    }
}
