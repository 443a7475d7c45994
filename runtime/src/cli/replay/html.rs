//! A back-test as one HTML page: readable without a network, with a light and a dark
//! face, and nothing in it that loads or runs anything.
//!
//! Well-formed as XML, so that a test can read it. What comes from events and components
//! goes through [`text`].

use std::fmt::Write as _;

use ephor::backtest::{Example, Found, Kinds, Named, Report};
use ephor::verdict::Decision;

use super::backtest::Tested;
use crate::cli::table::{self, grouped};

/// Rows of a table of names; the page says that there are more.
const ROWS_MAX: usize = 25;

/// Bars beside each other, at most; beyond, days are counted in months.
const BARS_MAX: usize = 400;

/// Width and height of the plot of days, and the room for its axes, in pixels of its own.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 28.0;
const TOP: f64 = 12.0;

/// The look. Colours are those of Okabe and Ito, which people tell apart whatever colours
/// they see, a little lighter on dark ground.
const STYLE: &str = "
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1b1f23; --faint: #5b646d; --line: #d5dadf; --panel: #f5f7f9;
  --stricter: #d55e00; --milder: #0072b2; --findings: #7f8790; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181c; --ink: #e6e9ec; --faint: #9aa4ae; --line: #333a41; --panel: #1c2227;
  --stricter: #ff8a3d; --milder: #56b4e9; --findings: #a5adb5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
p { margin: .25rem 0 .75rem; } .faint { color: var(--faint); }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0; }
.tile { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem 1rem; min-width: 9rem; }
.tile b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { color: var(--faint); font-weight: 600; white-space: nowrap; } .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--faint); font: 11px system-ui, sans-serif; }
.axis { stroke: var(--line); } .stricter { fill: var(--stricter); } .milder { fill: var(--milder); } .findings { fill: var(--findings); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; font-size: .9rem; margin: .25rem 0 .5rem; }
.legend svg { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; vertical-align: -1px; }
.verdict { white-space: nowrap; } .gone::before { content: '− '; color: var(--milder); } .come::before { content: '+ '; color: var(--stricter); }
.gone, .come { display: block; } code { font: .88em ui-monospace, monospace; }
";

/// What changes are called.
const KINDS: [(&str, &str); 3] =
    [("stricter", "stricter verdict"), ("milder", "milder verdict"), ("findings", "same verdict, other findings")];

/// Writes the page.
pub fn page(tested: &Tested) -> String {
    let Tested { report, before, after, files, .. } = tested;
    let mut out = String::with_capacity(64 << 10);
    let title = format!("Back-test: {} of {} events change", grouped(report.changes.total()), grouped(report.events));
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    );
    let _ = write!(out, "<h1>{title}</h1>\n<p class=\"faint\">");
    let files: Vec<String> = files.iter().map(|file| text(file)).collect();
    let _ = write!(out, "{}", files.join(", "));
    if let Some((first, last)) = &report.span {
        let _ = write!(out, ", {} to {}", text(first), text(last));
    }
    out.push_str("</p>\n");
    tiles(&mut out, report);
    releases(&mut out, before, after);
    verdicts(&mut out, report);
    if report.changes.total() > 0 {
        days(&mut out, report);
        rules(&mut out, report);
        names(&mut out, "By source", "source", &report.sources, &report.other_sources);
        names(&mut out, "By subject", "subject", &report.subjects, &report.other_subjects);
        examples(&mut out, report);
    }
    out.push_str("</body>\n</html>\n");
    out
}

/// Text as it stands in a page: nothing in it is markup, and control characters are
/// shown.
fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for letter in table::plain(raw).chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What a page cannot have (XML 1.0, section 2.2), and what turns the writing
            // direction of the text around it.
            '\u{fffe}' | '\u{ffff}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
    out
}

fn tiles(out: &mut String, report: &Report) {
    let Kinds { stricter, milder, findings } = report.changes;
    out.push_str("<div class=\"tiles\">\n");
    let mut tile = |value: u64, what: &str| {
        let _ = writeln!(out, "<div class=\"tile\"><b>{}</b>{what}</div>", grouped(value));
    };
    tile(report.events, "events");
    tile(stricter, "stricter verdicts");
    tile(milder, "milder verdicts");
    tile(findings, "same verdict, other findings");
    if report.timers.before + report.timers.after > 0 {
        tile(report.timers.before, "timers fired before");
        tile(report.timers.after, "timers fired after");
    }
    out.push_str("</div>\n");
}

fn releases(out: &mut String, before: &[(String, String)], after: &[(String, String)]) {
    heading(out, "Releases", "before: --against; after: --with");
    open_table(out, &[("policy", false), ("before", false), ("after", false)]);
    let mut policies: Vec<&str> = before.iter().chain(after).map(|(policy, _)| policy.as_str()).collect();
    policies.sort_unstable();
    policies.dedup();
    for policy in policies {
        let of = |side: &[(String, String)]| {
            side.iter().find(|(name, _)| name == policy).map_or("–".to_string(), |(_, release)| text(release))
        };
        let _ = writeln!(out, "<tr><td>{}</td><td><code>{}</code></td><td><code>{}</code></td></tr>", text(policy), of(before), of(after));
    }
    close_table(out);
}

fn verdicts(out: &mut String, report: &Report) {
    heading(out, "Verdicts", "of events; a change of a timer's verdict is in the second table only");
    open_table(out, &[("verdict", false), ("events before", true), ("events after", true)]);
    for (decision, sides) in &report.verdicts {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            decision.name(),
            grouped(sides.before),
            grouped(sides.after)
        );
    }
    close_table(out);
    if report.transitions.is_empty() {
        out.push_str("<p>Nothing changes.</p>\n");
        return;
    }
    open_table(out, &[("before → after", false), ("changes", true)]);
    for transition in &report.transitions {
        let change = became(transition.before, transition.after);
        let note = if transition.before == transition.after { ", with other findings" } else { "" };
        let _ = writeln!(out, "<tr><td>{change}{note}</td><td class=\"n\">{}</td></tr>", grouped(transition.count));
    }
    close_table(out);
}

fn became(before: Decision, after: Decision) -> String {
    format!("<span class=\"verdict\">{} → {}</span>", before.name(), after.name())
}

/// Changes by day, as bars.
fn days(out: &mut String, report: &Report) {
    let Some((first, last)) = &report.span else { return };
    let bars = bars(&report.days, first, last);
    let by = if bars.first().is_some_and(|(name, _)| name.len() == 7) { "month" } else { "day" };
    heading(out, &format!("Changes per {by}"), "by the time of the event; UTC");
    legend(out);
    let max = bars.iter().map(|(_, kinds)| kinds.total()).max().unwrap_or(0).max(1);
    let step = tick(max);
    let top = max.div_ceil(step) * step;
    let (right, base) = (WIDTH - 8.0, HEIGHT - BOTTOM);
    let y = |value: u64| base - (base - TOP) * value as f64 / top as f64;
    let label = format!("Changes per {by} from {} to {}, at most {}", text(first), text(last), grouped(max));
    let _ = writeln!(out, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">");
    for value in (0..=top).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
        let at = y(value);
        let _ = writeln!(out, "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let _ = writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 6.0, at + 4.0, grouped(value));
    }
    let slot = (right - LEFT) / bars.len().max(1) as f64;
    let width = (slot * 0.85).clamp(0.6, 48.0);
    for (at, (name, kinds)) in bars.iter().enumerate().filter(|(_, (_, kinds))| kinds.total() > 0) {
        let x = LEFT + slot * at as f64 + (slot - width) / 2.0;
        let mut below = 0;
        out.push_str("<g>");
        let _ = write!(out, "<title>{}: {}</title>", text(name), said(kinds));
        for ((class, _), value) in KINDS.iter().zip([kinds.stricter, kinds.milder, kinds.findings]) {
            if value > 0 {
                let (high, low) = (y(below + value), y(below));
                let _ =
                    write!(out, "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{high:.2}\" width=\"{width:.2}\" height=\"{:.2}\"/>", low - high);
            }
            below += value;
        }
        out.push_str("</g>\n");
    }
    let labels = bars.len().min(6);
    for nth in 0..labels {
        let at = if labels == 1 { 0 } else { nth * (bars.len() - 1) / (labels - 1) };
        let x = LEFT + slot * (at as f64 + 0.5);
        let anchor = if nth == 0 {
            "start"
        } else if nth + 1 == labels {
            "end"
        } else {
            "middle"
        };
        let x = if labels == 1 || (nth > 0 && nth + 1 < labels) { x } else { x + if nth == 0 { -slot / 2.0 } else { slot / 2.0 } };
        let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>", HEIGHT - 8.0, text(&bars[at].0));
    }
    out.push_str("</svg>\n");
}

/// One bar a day, also for those without changes, or a month if there are too many.
fn bars(days: &[Named], first: &str, last: &str) -> Vec<(String, Kinds)> {
    let changed =
        |name: &str| days.iter().filter(|day| day.name.starts_with(name)).fold(Kinds::default(), |sum, day| plus(sum, &day.changes));
    // A timer may be set for a day after the last event.
    let first = days.first().map_or(first, |day| first.min(&day.name));
    let last = days.last().map_or(last, |day| last.max(&day.name));
    if let (Some(from), Some(until)) = (date(first), date(last))
        && (until - from).whole_days() < BARS_MAX as i64
    {
        let mut counts = days.iter().peekable();
        let each = std::iter::successors(Some(from), |day| day.next_day()).take_while(|day| *day <= until);
        return each
            .map(|day| {
                let name = format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day());
                let kinds = counts.next_if(|counted| counted.name == name).map_or_else(Kinds::default, |counted| counted.changes);
                (name, kinds)
            })
            .collect();
    }
    let mut months: Vec<&str> = days.iter().filter_map(|day| day.name.get(..7)).collect();
    months.dedup();
    months.into_iter().map(|month| (month.to_string(), changed(month))).collect()
}

fn plus(mut sum: Kinds, more: &Kinds) -> Kinds {
    sum.merge(more);
    sum
}

fn date(text: &str) -> Option<time::Date> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse::<u8>().ok()?, parts.next()?.parse().ok()?);
    time::Date::from_calendar_date(year, month.try_into().ok()?, day).ok()
}

/// A round distance of the lines of an axis, so that there are about four.
fn tick(max: u64) -> u64 {
    let mut unit = 1;
    loop {
        for step in [1, 2, 5] {
            if max.div_ceil(step * unit) <= 4 {
                return step * unit;
            }
        }
        unit = match unit.checked_mul(10) {
            Some(unit) if unit < u64::MAX / 10 => unit,
            _ => return max,
        };
    }
}

fn said(kinds: &Kinds) -> String {
    format!("{} stricter, {} milder, {} with other findings", grouped(kinds.stricter), grouped(kinds.milder), grouped(kinds.findings))
}

fn legend(out: &mut String) {
    out.push_str("<div class=\"legend\">");
    for (class, what) in KINDS {
        let _ = write!(out, "<span><svg viewBox=\"0 0 8 8\"><rect class=\"{class}\" width=\"8\" height=\"8\"/></svg>{what}</span>");
    }
    out.push_str("</div>\n");
}

/// Findings by rule, as bars to both sides, and in numbers.
fn rules(out: &mut String, report: &Report) {
    heading(out, "Changes per rule", "findings that disappeared to the left, that appeared or were altered to the right");
    let changed = || report.rules.iter().filter(|rule| rule.appeared + rule.disappeared + rule.altered > 0);
    let (shown, all) = (changed().count().min(ROWS_MAX), changed().count());
    let max = changed().map(|rule| rule.disappeared.max(rule.appeared + rule.altered)).max().unwrap_or(0).max(1);
    let (row, middle) = (26.0, WIDTH / 2.0);
    let height = row * shown as f64 + 6.0;
    let scale = |value: u64| (middle - 96.0) * value as f64 / max as f64;
    let _ =
        writeln!(out, "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Findings that appeared and disappeared, by rule\">");
    for (at, rule) in changed().take(shown).enumerate() {
        let top = row * at as f64 + 14.0;
        let name = format!("{} / {}", rule.policy, rule.rule);
        let (gone, come, altered) = (scale(rule.disappeared), scale(rule.appeared), scale(rule.altered));
        let _ = write!(
            out,
            "<g><title>{0}: {1} disappeared, {2} appeared, {3} altered</title><text x=\"{middle}\" y=\"{4:.1}\" text-anchor=\"middle\">{0}</text>",
            text(&name),
            grouped(rule.disappeared),
            grouped(rule.appeared),
            grouped(rule.altered),
            top - 3.0
        );
        let _ = write!(out, "<line class=\"axis\" x1=\"{middle}\" x2=\"{middle}\" y1=\"{top:.1}\" y2=\"{:.1}\"/>", top + 9.0);
        for (class, x, width) in [("milder", middle - gone, gone), ("stricter", middle, come), ("findings", middle + come, altered)] {
            if width > 0.0 {
                let _ = write!(out, "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{top:.1}\" width=\"{width:.2}\" height=\"9\"/>");
            }
        }
        for (count, x, anchor) in
            [(rule.disappeared, middle - gone - 5.0, "end"), (rule.appeared + rule.altered, middle + come + altered + 5.0, "start")]
        {
            if count > 0 {
                let _ = write!(out, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>", top + 8.5, grouped(count));
            }
        }
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    let columns = [
        ("policy", false),
        ("rule", false),
        ("findings before", true),
        ("after", true),
        ("disappeared", true),
        ("appeared", true),
        ("altered", true),
    ];
    open_table(out, &columns);
    for rule in report.rules.iter().take(ROWS_MAX.max(shown)) {
        let _ = write!(out, "<tr><td>{}</td><td>{}</td>", text(&rule.policy), text(&rule.rule));
        for count in [rule.findings.before, rule.findings.after, rule.disappeared, rule.appeared, rule.altered] {
            let _ = write!(out, "<td class=\"n\">{}</td>", grouped(count));
        }
        out.push_str("</tr>\n");
    }
    close_table(out);
    more(out, all.max(report.rules.len()), ROWS_MAX);
}

fn names(out: &mut String, title: &str, what: &str, all: &[Named], other: &Kinds) {
    heading(out, title, "most changes first");
    open_table(out, &[(what, false), ("changes", true), ("stricter", true), ("milder", true), ("other findings", true)]);
    let mut row = |name: &str, kinds: &Kinds| {
        let _ = write!(out, "<tr><td>{name}</td>");
        for count in [kinds.total(), kinds.stricter, kinds.milder, kinds.findings] {
            let _ = write!(out, "<td class=\"n\">{}</td>", grouped(count));
        }
        out.push_str("</tr>\n");
    };
    all.iter().take(ROWS_MAX).for_each(|named| row(&text(&named.name), &named.changes));
    let rest = all.iter().skip(ROWS_MAX).fold(*other, |sum, named| plus(sum, &named.changes));
    if rest.total() > 0 {
        row("<span class=\"faint\">all others</span>", &rest);
    }
    close_table(out);
}

fn examples(out: &mut String, report: &Report) {
    heading(
        out,
        "Examples",
        &format!("{} of {} changes, some of every kind", grouped(report.examples.len() as u64), grouped(report.changes.total())),
    );
    open_table(out, &[("event", false), ("before → after", false), ("findings", false)]);
    for example in &report.examples {
        let Example { source, id, timer, subject, time, before, after, disappeared, appeared, .. } = example;
        let what = if *timer { "timer of key " } else { "" };
        let _ = write!(out, "<tr><td>{what}<code>{}</code><br/><span class=\"faint\">{}", text(id), text(source));
        if let Some(subject) = subject {
            let _ = write!(out, ", {}", text(subject));
        }
        let _ = write!(out, "<br/>{}</span></td><td>{}</td><td>", text(time), became(*before, *after));
        for (class, list) in [("gone", disappeared), ("come", appeared)] {
            for Found { policy, rule, message } in list {
                let _ = write!(
                    out,
                    "<span class=\"{class}\">{} <span class=\"faint\">({}, {})</span></span>",
                    text(message),
                    text(policy),
                    text(rule)
                );
            }
        }
        out.push_str("</td></tr>\n");
    }
    close_table(out);
}

fn heading(out: &mut String, title: &str, note: &str) {
    let _ = writeln!(out, "<h2>{title}</h2>\n<p class=\"faint\">{note}</p>");
}

fn open_table(out: &mut String, columns: &[(&str, bool)]) {
    out.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
    for (name, number) in columns {
        let _ = write!(out, "<th{}>{name}</th>", if *number { " class=\"n\"" } else { "" });
    }
    out.push_str("</tr></thead>\n<tbody>\n");
}

fn close_table(out: &mut String) {
    out.push_str("</tbody>\n</table></div>\n");
}

fn more(out: &mut String, all: usize, shown: usize) {
    if all > shown {
        let _ = writeln!(out, "<p class=\"faint\">{} more are in the JSON report.</p>", grouped((all - shown) as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::{event, finding};
    use super::*;
    use ephor::backtest::Counter;

    fn tested(report: Report) -> Tested {
        let side = |release: &str| vec![("p<b>".to_string(), release.to_string())];
        Tested { report, before: side("1-a"), after: side("1-b"), files: vec!["a&b.ndjson".into()], ..Tested::default() }
    }

    /// Whether every element that is opened is closed, in order, and attributes are quoted.
    fn assert_well_formed(page: &str) {
        let body = page.strip_prefix("<!DOCTYPE html>").expect("a doctype");
        let (mut open, mut rest) = (Vec::new(), body);
        while let Some(at) = rest.find('<') {
            assert!(!rest[..at].contains('>'), "a stray > in {:?}", &rest[..at.min(80)]);
            let end = rest.find('>').expect("a tag ends");
            let tag = &rest[at + 1..end];
            rest = &rest[end + 1..];
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "closed in order");
            } else if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().expect("a name"));
            }
        }
        assert_eq!(open, Vec::<&str>::new());
    }

    #[test]
    fn a_page_is_well_formed_and_loads_nothing_whatever_events_say() {
        let mut counter = Counter::new(5);
        for id in ["</title><script src='http://x'>", "2", "&amp;", "\u{202e}\u{7}"] {
            let id = id.replace('\u{7}', "\\u0007");
            let found = format!("\"findings\":[{}]", finding("<img>", "\\\"<a href=\\\"x\\\">"));
            counter.event(&event(1, &id, "allow", ""), &event(1, &id, "flag", &found), None).expect("entries");
        }
        let page = page(&tested(counter.finish()));
        assert_well_formed(&page);
        for bad in ["<script", "<img", "<a ", "<link", "url(", "@import", " src=", " href="] {
            let place = page.find(bad).map(|at| &page[at.saturating_sub(40)..]);
            assert!(place.is_none_or(|place| place.contains("&lt;")), "{bad}");
        }
        assert!(page.contains("prefers-color-scheme: dark") && page.contains("<svg") && page.contains("4 of 4 events change"));
        assert!(page.contains("&lt;script") && !page.contains('\u{202e}') && !page.contains('\u{7}'));
    }

    #[test]
    fn a_page_without_changes_says_so() {
        let mut counter = Counter::new(5);
        counter.event(&event(1, "1", "allow", ""), &event(2, "1", "allow", ""), None).expect("entries");
        let page = page(&tested(counter.finish()));
        assert_well_formed(&page);
        assert!(page.contains("Nothing changes") && !page.contains("<svg"));
    }

    #[test]
    fn there_is_a_bar_for_every_day_or_every_month() {
        let day = |name: &str| Named { name: name.into(), changes: Kinds { stricter: 1, milder: 0, findings: 0 } };
        let names =
            |bars: Vec<(String, Kinds)>| bars.into_iter().map(|(name, kinds)| format!("{name}:{}", kinds.total())).collect::<Vec<_>>();
        let bars_of = |days: &[Named], first, last| names(bars(days, first, last));
        assert_eq!(bars_of(&[day("2024-02-29")], "2024-02-28", "2024-03-01"), ["2024-02-28:0", "2024-02-29:1", "2024-03-01:0"]);
        assert_eq!(
            bars_of(&[day("2024-02-02"), day("2024-02-03"), day("2030-01-01")], "2024-01-01", "2030-01-01"),
            ["2024-02:2", "2030-01:1"]
        );
        assert_eq!(bars_of(&[day("no date")], "x", "y").len(), 1);
    }

    #[test]
    fn axes_have_few_round_lines() {
        for (max, step) in [(1, 1), (4, 1), (5, 2), (11, 5), (100, 50), (120, 50), (807, 500), (1_700, 500), (u64::MAX, u64::MAX)] {
            let found = tick(max);
            assert!(found == step || max.div_ceil(found) <= 4, "{max}: {found}");
        }
    }
}
