//! What views are made of.

use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::context::{Context, link};
use super::texts::Language;
use crate::ledger::entry::Finding;
use crate::policy::Release;
use crate::verdict::{Decision, Mode, Severity, message};

/// A point in time: in UTC, which a script replaces by the viewer's zone, with UTC on
/// hover.
pub(in crate::server) fn time(at: OffsetDateTime) -> Markup {
    let at = at.to_offset(time::UtcOffset::UTC);
    let date = at.date();
    let day = format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day());
    let clock = format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second());
    let person = format!("{day} {clock} UTC");
    html! { time datetime={ (day) "T" (clock) "Z" } title=(person) { (person) } }
}

/// The same of a time as it was sent or recorded (RFC 3339); what is none stands as it is.
pub(in crate::server) fn time_text(text: &str) -> Markup {
    match OffsetDateTime::parse(text, &Rfc3339) {
        Ok(at) => time(at),
        Err(_) => html! { (text) },
    }
}

/// The same of microseconds since the Unix epoch.
pub(in crate::server) fn time_micros(micros: i64) -> Markup {
    match OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000) {
        Ok(at) => time(at),
        Err(_) => html! { "—" },
    }
}

/// A whole number in groups of three, which both languages write with commas.
pub(in crate::server) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A part of a whole in per cent, with as many places as it takes to tell it from none.
pub(in crate::server) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 || part == 0 {
        return "0%".to_string();
    }
    let share = part as f64 / whole as f64 * 100.0;
    match share {
        share if share < 0.001 => "<0.001%".to_string(),
        share if share < 0.1 => format!("{share:.3}%"),
        share if share < 10.0 => format!("{share:.2}%"),
        share => format!("{share:.1}%"),
    }
}

/// Seconds as a time that a person says.
pub(in crate::server) fn duration(context: &Context<'_>, seconds: u64) -> String {
    match seconds {
        0..120 => context.count("frame.seconds", seconds),
        120..7_200 => context.count("frame.minutes", seconds / 60),
        7_200..172_800 => context.count("frame.hours", seconds / 3_600),
        _ => context.count("frame.days", seconds / 86_400),
    }
}

/// A verdict by colour, shape and word.
pub(in crate::server) fn verdict(context: &Context<'_>, decision: Decision) -> Markup {
    html! { span class={ "badge " (decision.name()) } { (shape(decision)) (verdict_word(context, decision)) } }
}

/// A verdict by its word.
pub(in crate::server) fn verdict_word(context: &Context<'_>, decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => context.text("words.allow"),
        Decision::Flag => context.text("words.flag"),
        Decision::Undetermined => context.text("words.undetermined"),
        Decision::Deny => context.text("words.deny"),
    }
}

fn shape(decision: Decision) -> Markup {
    html! {
        svg.shape viewBox="0 0 12 12" width="12" height="12" aria-hidden="true" {
            @match decision {
                Decision::Allow => circle cx="6" cy="6" r="4.5" fill="currentColor" {},
                Decision::Flag => path d="M6 1 11.5 11h-11z" fill="currentColor" {},
                Decision::Undetermined => path d="M6 1.500 10.500 6 6 10.500 1.500 6z" fill="none" stroke="currentColor" stroke-width="1.800" {},
                Decision::Deny => rect x="1.500" y="1.500" width="9" height="9" fill="currentColor" {},
            }
        }
    }
}

/// What the findings of a release count for.
pub(in crate::server) fn mode(context: &Context<'_>, mode: Mode) -> Markup {
    let word = match mode {
        Mode::Shadow => context.text("words.shadow"),
        Mode::Canary => context.text("words.canary"),
        Mode::Enforce => context.text("words.enforce"),
    };
    html! { span class={ "mode " (mode.name()) } { (word) } }
}

/// How grave a finding is.
pub(in crate::server) fn severity(context: &Context<'_>, severity: Severity) -> Markup {
    let word = match severity {
        Severity::Low => context.text("words.low"),
        Severity::Medium => context.text("words.medium"),
        Severity::High => context.text("words.high"),
        Severity::Critical => context.text("words.critical"),
    };
    html! { span.severity { (word) } }
}

/// How something stands, by colour, shape and word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::server) enum Level {
    Good,
    /// Worth a look.
    Uncertain,
    Bad,
}

impl Level {
    pub(in crate::server) fn name(self) -> &'static str {
        match self {
            Level::Good => "good",
            Level::Uncertain => "uncertain",
            Level::Bad => "bad",
        }
    }

    /// A tick, an exclamation mark, or a cross.
    pub(in crate::server) fn icon(self) -> Markup {
        html! {
            svg class={ "level " (self.name()) } viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" {
                circle cx="10" cy="10" r="9" fill="currentColor" {}
                @match self {
                    Level::Good => path.cut d="M5.800 10.400l2.900 2.900 5.500-6.200" {},
                    Level::Uncertain => path.cut d="M10 5v6M10 14v.500" {},
                    Level::Bad => path.cut d="M6.500 6.500l7 7M13.500 6.500l-7 7" {},
                }
            }
        }
    }
}

/// One figure with what it is, and a remark.
pub(in crate::server) struct Figure<'a> {
    pub(in crate::server) name: &'a str,
    pub(in crate::server) value: Markup,
    pub(in crate::server) remark: Option<Markup>,
    pub(in crate::server) level: Level,
}

/// Figures side by side.
pub(in crate::server) fn figures(figures: &[Figure<'_>]) -> Markup {
    html! {
        dl.figures {
            @for figure in figures {
                div class={ "figure " (figure.level.name()) } {
                    dt { (figure.name) }
                    dd {
                        span.value { (figure.value) @if figure.level != Level::Good { " " (figure.level.icon()) } }
                        @if let Some(remark) = &figure.remark { span.remark { (remark) } }
                    }
                }
            }
        }
    }
}

/// A part of a view under a heading of its own.
pub(in crate::server) fn section(id: &str, title: &str, body: &Markup) -> Markup {
    html! {
        section.card id=(id) aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) }
            (body)
        }
    }
}

/// The same with a part that is fetched again every few seconds.
pub(in crate::server) fn live_section(id: &str, title: &str, body: &Markup) -> Markup {
    html! {
        section.card id=(id) data-live aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) }
            (body)
        }
    }
}

/// The columns of a table of verdicts over time, in the order of [`Decision::ALL`].
pub(in crate::server) fn verdicts_over_time(context: &Context<'_>) -> [Column<'static>; 5] {
    let of = |decision| Column::number(verdict_word(context, decision));
    let [allow, flag, undetermined, deny] = Decision::ALL.map(of);
    [Column::text(context.text("verdicts.from")), allow, flag, undetermined, deny]
}

/// Whether a language tag (BCP 47) is of this language, as it is spoken anywhere.
pub(in crate::server) fn is_in(language: Language, tag: &str) -> bool {
    tag.split('-').next().is_some_and(|primary| primary.eq_ignore_ascii_case(language.tag()))
}

/// What a finding says: in the viewer's language, if this release of its policy has that,
/// and otherwise as it was recorded.
pub(in crate::server) fn says(language: Language, release: Option<&Release>, finding: &Finding<'_>) -> String {
    let rule = release.and_then(|release| release.manifest.rules.iter().find(|rule| rule.id == *finding.rule));
    match rule.filter(|rule| rule.messages.iter().any(|message| is_in(language, &message.language))) {
        Some(rule) => message(rule, Some(language.tag()), &finding.evidence.pairs()),
        None => finding.message.to_string(),
    }
}

/// Instead of a table without rows: why there are none, and what to do.
pub(in crate::server) fn empty(text: &str) -> Markup {
    html! { p.empty { (text) } }
}

/// A table that scrolls by itself where it is too wide. `name` is for who hears it.
pub(in crate::server) fn table(name: &str, head: &[Column<'_>], body: &Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(name) {
            table {
                thead { tr { @for column in head { th scope="col" class=[column.numeric.then_some("number")] { (column.name) } } } }
                tbody { (body) }
            }
        }
    }
}

/// The head of a table's column.
pub(in crate::server) struct Column<'a> {
    pub(in crate::server) name: &'a str,
    pub(in crate::server) numeric: bool,
}

impl<'a> Column<'a> {
    pub(in crate::server) fn text(name: &'a str) -> Self {
        Column { name, numeric: false }
    }

    pub(in crate::server) fn number(name: &'a str) -> Self {
        Column { name, numeric: true }
    }
}

/// A bar as long as a part of the largest in its column.
pub(in crate::server) fn bar(part: u64, largest: u64) -> Markup {
    let share = if largest == 0 { 0.0 } else { (part as f64 / largest as f64 * 100.0).clamp(0.5, 100.0) };
    html! {
        svg.bar width="100%" height="8" aria-hidden="true" preserveAspectRatio="none" {
            rect.rest width="100%" height="8" rx="4" {}
            @if part > 0 { rect.part width={ (format!("{share:.1}")) "%" } height="8" rx="4" {} }
        }
    }
}

/// An entry by its sequence, with the way to its view.
pub(in crate::server) fn event(sequence: u64) -> Markup {
    html! { a href={ "/event/" (sequence) } { (number(sequence)) } }
}

/// A policy by its full name, with the way to its view.
pub(in crate::server) fn policy(name: &str) -> Markup {
    // Letters, digits and hyphens, behind a publisher's name and a slash.
    html! { a href={ "/policy/" (name) } { (name) } }
}

/// Whom events of a source are about, with the way to the view of that.
pub(in crate::server) fn subject(source: &str, subject: &str) -> Markup {
    html! { a href=(link("/subject", &[("source", source), ("subject", subject)])) { (subject) } }
}

/// A script of a view.
pub(in crate::server) fn script(name: &str) -> Markup {
    html! { script type="module" src={ "/static/" (name) } {} }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_small_part_is_not_none() {
        assert_eq!(percent(0, 10), "0%");
        assert_eq!(percent(1, 10_000_000), "<0.001%");
        assert_eq!(percent(1, 10_000), "0.010%");
        assert_eq!(percent(1, 3), "33.3%");
        assert_eq!(percent(3, 0), "0%");
    }
}
