//! The way of a submission: who follows it, when each stage of its batch was, and the spans
//! that this comes to.
//!
//! A batch has events of many requests, and one trace shows one request. So stages are timed
//! once for a batch with somebody in it who is traced, and each of these gets spans of their
//! own with the batch's times: a trace shows its request whole, with how large the batch was.

use std::sync::Arc;
use std::time::Instant;

use super::{Context, Kind, Sink, Span, Value};
use crate::event::Event;

/// Events of one submission whose own traces are followed. With more, the others have their
/// request's only.
const EVENTS_MAX: usize = 64;

/// A submission that somebody follows.
#[derive(Debug)]
pub(crate) struct Traced {
    sink: Arc<dyn Sink>,
    /// The span of the request that it came with, if that is wanted.
    request: Option<Context>,
    /// Events with a trace of their own that is wanted, by their place.
    events: Vec<(usize, Context)>,
    submitted: Instant,
}

/// One policy's part of an evaluation.
#[derive(Debug, Clone)]
pub(crate) struct PolicyTime {
    pub policy: Arc<str>,
    /// The release that was asked, or the first of several.
    pub release: String,
    pub began: Instant,
    pub ended: Instant,
    pub rows: u64,
    pub calls: u64,
    pub fuel: u64,
    pub faults: u64,
}

/// When each stage of a batch was.
#[derive(Debug)]
pub(crate) struct Way {
    /// Of somebody in it, for metrics that name an example.
    pub example: Context,
    pub batch_events: usize,
    began: Instant,
    stages: Vec<Stage>,
    /// When it was handed to whoever makes it durable.
    pub handed: Option<Instant>,
}

#[derive(Debug)]
struct Stage {
    name: &'static str,
    began: Instant,
    ended: Instant,
    attributes: Vec<(&'static str, Value)>,
    policies: Vec<PolicyTime>,
}

/// What became of a submission, in counts.
#[derive(Debug, Default, Clone)]
pub(crate) struct Outcome {
    /// Sequences of its first and its last new entry.
    pub sequences: Option<(u64, u64)>,
    /// Counts by what they are of: decisions, and `again`, `refused`.
    pub answers: Vec<(&'static str, u64)>,
}

impl Traced {
    /// Who follows these events: whoever sent the request, and whoever made an event that
    /// has a `traceparent` of its own (CloudEvents, extension "Distributed Tracing").
    /// Mostly nobody.
    pub fn of(sink: &Arc<dyn Sink>, request: Option<&Context>, events: &[Event]) -> Option<Box<Traced>> {
        let request = request.filter(|context| context.is_sampled()).cloned();
        let own = events.iter().enumerate().filter_map(|(at, event)| Some((at, of_event(event)?)));
        let is_others = |context: &Context| request.as_ref().is_none_or(|request| request.trace() != context.trace());
        let events: Vec<_> = own.filter(|(_, context)| is_others(context)).take(EVENTS_MAX).collect();
        if request.is_none() && events.is_empty() {
            return None;
        }
        Some(Box::new(Traced { sink: sink.clone(), request, events, submitted: Instant::now() }))
    }

    /// Somebody who follows it.
    pub fn example(&self) -> Option<&Context> {
        self.request.as_ref().or(self.events.first().map(|(_, context)| context))
    }

    /// Tells everybody who follows it.
    pub fn tell(self, way: &Way, outcome: &Outcome) {
        let ended = Instant::now();
        let mut spans = Vec::new();
        let count = self.events.len();
        if let Some(request) = &self.request {
            spans.extend(self.spans(request, Kind::Internal, Vec::new(), way, outcome, ended));
        }
        for (_, context) in &self.events {
            let links = self.request.iter().cloned().collect();
            // What is said of the whole submission is not said of one event of many.
            let own = if count == 1 && self.request.is_none() { outcome.clone() } else { Outcome::default() };
            spans.extend(self.spans(context, Kind::Consumer, links, way, &own, ended));
        }
        self.sink.take(spans);
    }

    /// The spans for one of them: the whole, and in it the stages.
    fn spans(&self, of: &Context, kind: Kind, links: Vec<Context>, way: &Way, outcome: &Outcome, ended: Instant) -> Vec<Span> {
        let whole = of.child();
        let mut attributes = vec![("ephor.batch.events", way.batch_events.into())];
        if let Some((first, last)) = outcome.sequences {
            attributes.push(("ephor.sequence.first", first.into()));
            attributes.push(("ephor.sequence.last", last.into()));
        }
        attributes.extend(outcome.answers.iter().filter(|(_, count)| *count > 0).map(|(name, count)| (*name, (*count).into())));
        let span = |parent: &Context, name: std::borrow::Cow<'static, str>, began: Instant, ended: Instant| Span {
            context: parent.child(),
            parent: Some(parent.span()),
            is_remote: false,
            kind: Kind::Internal,
            name,
            began,
            ended,
            attributes: Vec::new(),
            links: Vec::new(),
            failure: None,
        };
        let mut spans = vec![Span {
            context: whole.clone(),
            is_remote: kind == Kind::Consumer,
            kind,
            attributes,
            links,
            ..span(of, "judge".into(), self.submitted, ended)
        }];
        spans.push(span(&whole, "queue".into(), self.submitted, way.began.max(self.submitted)));
        for stage in &way.stages {
            let one = span(&whole, stage.name.into(), stage.began, stage.ended);
            for time in &stage.policies {
                let attributes = vec![
                    ("ephor.policy", time.policy.to_string().into()),
                    ("ephor.release", time.release.clone().into()),
                    ("ephor.rows", time.rows.into()),
                    ("ephor.calls", time.calls.into()),
                    ("ephor.fuel", time.fuel.into()),
                    ("ephor.faults", time.faults.into()),
                ];
                let failure = (time.faults > 0).then_some("the policy failed to answer for some rows");
                let policy = span(&one.context, format!("policy {}", time.policy).into(), time.began, time.ended);
                spans.push(Span { attributes, failure, ..policy });
            }
            spans.push(Span { attributes: stage.attributes.clone(), ..one });
        }
        spans
    }
}

/// The trace that an event brings along, if it is wanted.
fn of_event(event: &Event) -> Option<Context> {
    let text = |name: &str| serde_json::from_str::<String>(event.other(name)?).ok();
    // Before anything is read of it.
    event.other("traceparent")?;
    Context::parse(&text("traceparent")?, text("tracestate").as_deref()).filter(Context::is_sampled)
}

impl Way {
    /// Begins, for a batch in which somebody is followed.
    pub fn of<'t>(mut traced: impl Iterator<Item = &'t Traced>, batch_events: usize) -> Option<Box<Way>> {
        let example = traced.find_map(Traced::example)?.clone();
        Some(Box::new(Way { example, batch_events, began: Instant::now(), stages: Vec::with_capacity(8), handed: None }))
    }

    /// A stage was from one time to another.
    pub fn stage(&mut self, name: &'static str, began: Instant, ended: Instant) {
        self.stages.push(Stage { name, began, ended, attributes: Vec::new(), policies: Vec::new() });
    }

    /// More about the latest stage.
    pub fn note(&mut self, attributes: Vec<(&'static str, Value)>) {
        if let Some(stage) = self.stages.last_mut() {
            stage.attributes = attributes;
        }
    }

    /// The policies' parts of the latest stage.
    pub fn policies(&mut self, policies: Vec<PolicyTime>) {
        if let Some(stage) = self.stages.last_mut() {
            stage.policies = policies;
        }
    }
}
