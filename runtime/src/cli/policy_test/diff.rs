//! What differs, line by line: what was expected, and what the component says.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use ephor::vectors::{Differences, Found, Said, Vector, WakeDiffers, Woken};

use super::at;
use crate::cli::table::plain;

/// Comparisons of findings about one event beyond which they are not put side by side.
const COMPARED_MAX: usize = 100_000;

/// Whether there are colours.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    colored: bool,
}

impl Paint {
    /// For files.
    pub const NONE: Paint = Paint { colored: false };

    /// For standard output: colours on a terminal whose user has not declined them.
    pub fn of_stdout() -> Self {
        Paint { colored: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    /// The same for standard error.
    pub fn of_stderr() -> Self {
        Paint { colored: std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    pub fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    pub fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colored { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

/// A place in a vector where something else is said.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The file with the place in it, and which event or key.
    place: String,
    lines: Vec<Line>,
}

/// A line about what is said.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// Both say it.
    Both(String),
    Expected(String),
    Found(String),
}

impl Block {
    /// In lines, each with an indent.
    pub fn text(&self, indent: &str, paint: Paint) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{indent}{}", self.place);
        for line in &self.lines {
            let line = match line {
                Line::Both(line) => format!("  {line}"),
                Line::Expected(line) => paint.red(&format!("- {line}")),
                Line::Found(line) => paint.green(&format!("+ {line}")),
            };
            let _ = writeln!(text, "{indent}  {line}");
        }
        text
    }

    /// The file, the place, and which event or key.
    pub fn place(&self) -> &str {
        &self.place
    }
}

/// All places in a file where something else is said.
pub fn blocks(file: &str, vector: &Vector<'_>, differences: &Differences<'_>) -> Vec<Block> {
    let events = differences.events.iter().map(|differs| {
        let place = at(file, vector.expect_place(differs.event), &format!("event {}", differs.event));
        let lines = match differs.expected {
            Some(expected) => compare(expected, differs.found),
            None => lines(differs.found).into_iter().map(Line::Found).collect(),
        };
        Block { place, lines }
    });
    let wakes = differences.wakes.iter().map(|differs| {
        let (index, woken, lines) = match differs {
            WakeDiffers::Says { index, expected, found } => (Some(*index), expected, compare(&expected.said, &found.said)),
            WakeDiffers::Missing { index, expected } => {
                let mut lines: Vec<Line> = fires(expected).into_iter().map(Line::Expected).collect();
                lines.push(Line::Found("does not fire".into()));
                (Some(*index), expected, lines)
            }
            WakeDiffers::Surplus { found } => {
                let mut lines = vec![Line::Expected("does not fire".into())];
                lines.extend(fires(found).into_iter().map(Line::Found));
                (None, found, lines)
            }
        };
        let what = format!("timer of the key {} for {}, before event {}", plain(&woken.key_shown()), woken.time(), woken.before);
        Block { place: at(file, vector.wake_place(index), &what), lines }
    });
    events.chain(wakes).collect()
}

/// That a timer fires, and what is said then.
fn fires(woken: &Woken) -> Vec<String> {
    let mut fires = vec!["fires".to_string()];
    fires.extend(lines(&woken.said));
    fires
}

/// What is said, in lines.
fn lines(said: &Said) -> Vec<String> {
    match said {
        Said::Findings(found) if found.is_empty() => vec!["nothing".into()],
        Said::Findings(found) => found.iter().flat_map(whole).collect(),
        Said::Undecided(reason) => vec![format!("undecided: {}", plain(reason))],
        Said::Unreadable(pointer) => vec![format!("unreadable: {}", plain(pointer))],
        Said::Failed(problem) => vec![format!("failed: {}", plain(problem))],
    }
}

/// A finding in lines: its rule, and its evidence.
fn whole(found: &Found) -> Vec<String> {
    let mut lines = vec![plain(&found.rule)];
    lines.extend(found.evidence.iter().map(|(name, value)| member(name, value)));
    lines
}

fn member(name: &str, value: &str) -> String {
    format!("  {}: {}", plain(name), plain(value))
}

/// What was expected beside what is said. Of findings of the same rule only the evidence
/// that differs.
fn compare(expected: &Said, found: &Said) -> Vec<Line> {
    match (expected, found) {
        (Said::Findings(expected), Said::Findings(found))
            if !expected.is_empty() && !found.is_empty() && expected.len().saturating_mul(found.len()) <= COMPARED_MAX =>
        {
            side_by_side(expected, found)
        }
        _ => lines(expected).into_iter().map(Line::Expected).chain(lines(found).into_iter().map(Line::Found)).collect(),
    }
}

/// A step through two lists of findings.
enum Step {
    Both,
    Expected,
    Found,
}

/// Puts findings beside those of the same rule so that the fewest lines differ.
fn side_by_side(expected: &[Found], found: &[Found]) -> Vec<Line> {
    let width = found.len() + 1;
    // How many lines differ in what is left of both lists.
    let mut left = vec![0_usize; (expected.len() + 1) * width];
    let best = |left: &[usize], i: usize, j: usize| {
        let mut steps = Vec::with_capacity(3);
        if let (Some(one), Some(other)) = (expected.get(i), found.get(j))
            && one.rule == other.rule
        {
            steps.push((left[(i + 1) * width + j + 1] + evidence(one, other).len(), Step::Both));
        }
        if let Some(one) = expected.get(i) {
            steps.push((left[(i + 1) * width + j] + 1 + one.evidence.iter().count(), Step::Expected));
        }
        if let Some(other) = found.get(j) {
            steps.push((left[i * width + j + 1] + 1 + other.evidence.iter().count(), Step::Found));
        }
        steps.into_iter().min_by_key(|(lines, _)| *lines)
    };
    for i in (0..=expected.len()).rev() {
        for j in (0..=found.len()).rev() {
            left[i * width + j] = best(&left, i, j).map_or(0, |(lines, _)| lines);
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while let Some((_, step)) = best(&left, i, j) {
        match step {
            Step::Both => {
                lines.push(Line::Both(plain(&expected[i].rule)));
                lines.extend(evidence(&expected[i], &found[j]));
                (i, j) = (i + 1, j + 1);
            }
            Step::Expected => {
                lines.extend(whole(&expected[i]).into_iter().map(Line::Expected));
                i += 1;
            }
            Step::Found => {
                lines.extend(whole(&found[j]).into_iter().map(Line::Found));
                j += 1;
            }
        }
    }
    lines
}

/// The evidence in which two findings differ.
fn evidence(expected: &Found, found: &Found) -> Vec<Line> {
    let mut lines = Vec::new();
    for (name, value) in expected.evidence.iter() {
        let other = found.evidence.get(name);
        if other != Some(value) {
            lines.push(Line::Expected(member(name, value)));
            lines.extend(other.map(|other| Line::Found(member(name, other))));
        }
    }
    let new = found.evidence.iter().filter(|(name, _)| expected.evidence.get(name).is_none());
    lines.extend(new.map(|(name, value)| Line::Found(member(name, value))));
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ephor::vectors::Ran;

    use super::*;

    fn findings(json: &str) -> Said {
        Said::Findings(serde_json::from_str(json).expect("findings"))
    }

    #[track_caller]
    fn assert_compared(expected: &str, found: &str, lines: &[&str]) {
        let block = Block { place: "here".into(), lines: compare(&findings(expected), &findings(found)) };
        let text = block.text("", Paint::NONE);
        assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), lines, "{expected} and {found}");
    }

    #[test]
    fn only_what_differs_is_shown() {
        let (one, two) = (r#"{"rule": "a", "evidence": {"n": "1", "m": "x"}}"#, r#"{"rule": "b", "evidence": {"n": "2"}}"#);
        assert_compared(&format!("[{one}]"), "[]", &["  - a", "  -   n: 1", "  -   m: x", "  + nothing"]);
        assert_compared(&format!("[{one}, {two}]"), &format!("[{two}]"), &["  - a", "  -   n: 1", "  -   m: x", "    b"]);
        let other = r#"{"rule": "a", "evidence": {"m": "y", "n": "1", "k": "z"}}"#;
        assert_compared(&format!("[{one}]"), &format!("[{other}]"), &["    a", "  -   m: x", "  +   m: y", "  +   k: z"]);
        // The first of two that are alike is the one that is new.
        let third = r#"{"rule": "b", "evidence": {"n": "3"}}"#;
        assert_compared(&format!("[{one}, {two}]"), &format!("[{one}, {third}, {two}]"), &["    a", "  + b", "  +   n: 3", "    b"]);
    }

    #[test]
    fn what_is_no_finding_is_shown_as_it_is() {
        let lines = compare(&findings("[]"), &Said::Failed("trap: \u{1b}[31m".into()));
        assert_eq!(lines, [Line::Expected("nothing".into()), Line::Found("failed: trap: \\u{1b}[31m".into())]);
        let lines = compare(&Said::Undecided("a".into()), &Said::Unreadable("/data/n".into()));
        assert_eq!(lines, [Line::Expected("undecided: a".into()), Line::Found("unreadable: /data/n".into())]);
    }

    #[test]
    fn colours_are_red_and_green() {
        let lines = vec![Line::Both("a".into()), Line::Expected("b".into()), Line::Found("c".into())];
        let block = Block { place: "x.json:1:1: event 0".into(), lines };
        let colored = Paint { colored: true };
        assert_eq!(block.text(" ", colored), " x.json:1:1: event 0\n     a\n   \u{1b}[31m- b\u{1b}[0m\n   \u{1b}[32m+ c\u{1b}[0m\n");
        assert_eq!(block.text(" ", Paint::NONE), " x.json:1:1: event 0\n     a\n   - b\n   + c\n");
    }

    #[test]
    fn every_place_is_named() {
        let text = r#"{"settings": {}, "events": [{}, {}], "expect": [[], []],
            "wakes": [{"before": 1, "at": "1970-01-01T00:00:01Z", "key": ["a"], "expect": []}]}"#;
        let vector = Vector::parse(text).expect("a vector");
        let woken = Woken { before: 1, at: 2_000_000, key: Some(vec!["b".into()]), said: findings("[]") };
        let ran = Ran { events: vec![findings("[]"), findings(r#"[{"rule": "x"}]"#)], wakes: vec![woken], took: Duration::ZERO };
        let blocks = blocks("v.json", &vector, &vector.differences(&ran));
        let text: String = blocks.iter().map(|block| block.text("", Paint::NONE)).collect();
        let expected = "v.json:1:53: event 1\n  - nothing\n  + x\n\
            v.json:2:23: timer of the key [\"a\"] for 1970-01-01T00:00:01Z, before event 1\n  - fires\n  - nothing\n  + does not fire\n\
            v.json:2:22: timer of the key [\"b\"] for 1970-01-01T00:00:02Z, before event 1\n  - does not fire\n  + fires\n  + nothing\n";
        assert_eq!(text, expected);
    }
}
