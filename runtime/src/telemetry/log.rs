//! The log on standard error: for people, or one JSON object a line.

use std::fmt;
use std::io::{IsTerminal as _, Write as _};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Chooses what is logged in the place of the configuration.
const VARIABLE: &str = "RUST_LOG";

/// Where lines are from that a policy has written, which may have something of an event in
/// them. They are logged where that is asked for by this name, and in development.
const POLICIES: &str = "ephor::policy";

/// The log of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// How it is written.
    pub format: Format,
    /// From which level on: `error`, `warn`, `info`, `debug` or `trace`; for single parts of
    /// the program behind it, as in `info,ephor::publishers=debug`. What policies say
    /// themselves is logged only with `ephor::policy=…` in it, for they may say something of
    /// an event. The environment variable `RUST_LOG` takes the place of this key.
    pub level: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { format: Format::Text, level: "info".into() }
    }
}

impl Settings {
    /// What is wrong with the level, if something is.
    pub fn problem(&self) -> Option<String> {
        let wrong = targets(&self.level, false).is_none();
        wrong.then(|| format!("is {:?}; write a level such as \"info\", or \"info,ephor::publishers=debug\"", self.level))
    }
}

/// Reads `level` or `target=level`, and more of them behind commas. A word alone is a level:
/// the parser of `tracing` takes one that it does not know for a target, of which everything
/// is logged.
fn targets(text: &str, is_development: bool) -> Option<Targets> {
    let mut targets = Targets::new();
    let mut names_policies = false;
    for part in text.split(',').map(str::trim) {
        match part.split_once('=') {
            Some((target, level)) if !target.trim().is_empty() && !level.trim().is_empty() => {
                names_policies |= target.trim() == POLICIES;
                targets = targets.with_target(target.trim(), level.trim().parse::<LevelFilter>().ok()?);
            }
            // `tracing` takes no word at all for `error`.
            None if part.is_empty() => return None,
            Some(_) => return None,
            None => targets = targets.with_default(part.parse::<LevelFilter>().ok()?),
        }
    }
    Some(if names_policies || is_development { targets } else { targets.with_target(POLICIES, LevelFilter::OFF) })
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line: `time`, `level`, `target`, `message`, `fields`, and
    /// `trace_id` and `span_id` where it is about a request that is part of a trace.
    Json,
}

/// Chooses what is logged from now on.
pub struct Levels {
    /// Absent where the environment has chosen.
    handle: Option<reload::Handle<Targets, Registry>>,
    is_development: bool,
}

impl Levels {
    /// Takes over another level; nothing where the environment has chosen.
    pub fn set(&self, level: &str) {
        if let (Some(handle), Some(targets)) = (&self.handle, targets(level, self.is_development)) {
            // It fails only if the subscriber is gone.
            let _ = handle.reload(targets);
        }
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Levels").finish_non_exhaustive()
    }
}

/// Sends the log to standard error, once for the process. In development it has what
/// policies say.
pub fn set_up(settings: &Settings, is_development: bool) -> Levels {
    let chosen = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let read = chosen.as_deref().and_then(|text| targets(text, is_development));
    let (is_chosen, is_unreadable) = (read.is_some(), chosen.is_some() && read.is_none());
    let configured = || targets(&settings.level, is_development);
    let targets = read.or_else(configured).unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let (filter, handle) = reload::Layer::new(targets);
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = (settings.format == Format::Text).then(|| tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(color));
    let json = (settings.format == Format::Json).then_some(Json);
    // A second set-up, as in a test of a program around this one, changes nothing.
    let _ = tracing_subscriber::registry().with(filter).with(text).with(json).try_init();
    if settings.format == Format::Json {
        log_panics();
    }
    if is_unreadable {
        tracing::warn!(level = settings.level, "RUST_LOG is not understood; write it as `info` or `ephor=debug,warn`");
    }
    Levels { handle: (!is_chosen).then_some(handle), is_development }
}

/// Panics are lines like all others, where lines are for machines. One that nobody reads is
/// left to whoever knew of it before.
fn log_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied()).unwrap_or_default();
        if text.starts_with("failed printing to") {
            return report(panic);
        }
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, panic = text, "The program panicked");
    }));
}

/// Writes each event as a line.
struct Json;

/// Where a span stands in a trace, kept beside the span.
struct Place(Map<String, Value>);

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Json {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        fields.0.retain(|name, _| name == "trace_id" || name == "span_id");
        if let Some(span) = context.span(id).filter(|_| !fields.0.is_empty()) {
            span.extensions_mut().insert(Place(fields.0));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        let meta = event.metadata();
        let time = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let mut line = json!({"time": time, "level": meta.level().as_str(), "target": meta.target(), "message": message});
        if let Some(line) = line.as_object_mut() {
            if !fields.0.is_empty() {
                line.insert("fields".into(), fields.0.into());
            }
            // The innermost span that stands in a trace.
            let place = context
                .event_scope(event)
                .and_then(|mut spans| spans.find_map(|span| span.extensions().get::<Place>().map(|Place(place)| place.clone())));
            line.extend(place.into_iter().flatten());
        }
        // Whole lines, whoever else writes. A log that nobody takes stops nothing.
        let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
    }
}

/// Fields as JSON.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_or_names_targets() {
        let problem = |level: &str| Settings { level: level.into(), ..Settings::default() }.problem();
        for level in ["info", "WARN", "off", "info,ephor::publishers=debug", "ephor=trace"] {
            assert_eq!(problem(level), None, "{level}");
        }
        for level in ["", " ", "loud", "info,ephor=loud", "a=b=c", "=info", "info,", "info,ephor="] {
            assert!(problem(level).is_some_and(|problem| problem.contains("write a level")), "{level}");
        }
    }

    #[test]
    fn what_policies_say_is_logged_where_it_is_asked_for() {
        let says = |level: &str, is_development: bool| {
            let targets = targets(level, is_development).expect("a level");
            targets.would_enable(POLICIES, &tracing::Level::WARN)
        };
        assert!(!says("trace", false) && !says("info,ephor=debug", false));
        assert!(says("info", true) && says("warn,ephor::policy=warn", false));
    }
}
