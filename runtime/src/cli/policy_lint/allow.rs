//! Allowances: `// lint: allow(NAME): reason`, on the line or above it.

use super::source::{Crate, Text};
use super::{Allowed, At, Finding, Lint, Report};

const MARK: &str = "lint: allow(";
const FORM: &str = "write it as `// lint: allow(unbounded-state): why it has to be so`";

/// What authors allow, by file.
pub struct Allows(Vec<Allow>);

struct Allow {
    file: String,
    at: At,
    /// Absent if there is no lint of that name.
    lint: Option<Lint>,
    name: String,
    reason: String,
    /// The lines that it is about.
    first: usize,
    last: usize,
    used: bool,
}

impl Allows {
    pub fn of(sources: &Crate) -> Self {
        let texts = sources.files.iter().map(|source| &source.text);
        Allows(texts.chain([&sources.manifest]).flat_map(|text| of_text(text, text.shown.ends_with(".toml"))).collect())
    }

    /// Tells what is allowed from what is not.
    pub fn sort_out(&mut self, findings: Vec<Finding>) -> Report {
        let mut report = Report::default();
        for finding in findings {
            let lines = [Some(finding.at.line), finding.import];
            let covers = |allow: &&mut Allow| {
                allow.file == finding.file
                    && allow.lint == Some(finding.lint)
                    && !allow.reason.is_empty()
                    && lines.iter().flatten().any(|line| (allow.first..=allow.last).contains(line))
            };
            match self.0.iter_mut().find(covers) {
                Some(allow) => {
                    allow.used = true;
                    report.allowed.push(Allowed { finding, reason: allow.reason.clone() });
                }
                None => report.findings.push(finding),
            }
        }
        report
    }

    /// Allowances that are none.
    pub fn left(&self) -> Vec<Finding> {
        let of = |allow: &Allow| {
            let (what, remedy) = match allow.lint {
                None => (format!("there is no lint `{}`", allow.name), format!("{FORM}; `ephor policy lint --help` has their names")),
                Some(_) if allow.reason.is_empty() => ("an allowance without a reason".to_string(), FORM.to_string()),
                Some(_) if !allow.used => (format!("there is no {} here to allow", allow.name), "take the comment out".to_string()),
                Some(_) => return None,
            };
            Some(Finding::new(&allow.file, allow.at, Lint::Allowance, what, remedy))
        };
        self.0.iter().filter_map(of).collect()
    }
}

fn of_text(text: &Text, is_toml: bool) -> Vec<Allow> {
    let comment = if is_toml { "#" } else { "//" };
    let lines: Vec<&str> = text.text.lines().collect();
    let mut allows = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(begin) = line.find(comment) else { continue };
        let said = line[begin + comment.len()..].trim_start_matches(['/', '!', '#']).trim_start();
        let Some(rest) = said.strip_prefix(MARK) else { continue };
        let (name, reason) = rest.split_once(')').unwrap_or((rest, ""));
        let reason = reason.trim_start().strip_prefix(':').unwrap_or_default().trim();
        let alone = line[..begin].trim().is_empty();
        let last = if alone { end_of_item(&lines, index + 1, comment) } else { index };
        allows.push(Allow {
            file: text.shown.clone(),
            at: At { line: index + 1, column: line[..begin].chars().count() + 1 },
            lint: Lint::ALL.into_iter().find(|lint| lint.name() == name.trim()),
            name: name.trim().to_string(),
            reason: reason.to_string(),
            first: index + 1,
            last: last + 1,
            used: false,
        });
    }
    allows
}

/// The line on which begins what comments and attributes are above, from a line on.
fn end_of_item(lines: &[&str], from: usize, comment: &str) -> usize {
    let mut open = 0i64;
    for (index, line) in lines.iter().enumerate().skip(from) {
        let line = line.trim();
        if line.starts_with(comment) && open == 0 {
            continue;
        }
        let is_attribute = line.starts_with("#[") || open > 0;
        if !is_attribute || comment == "#" {
            return index;
        }
        let count = |brackets: &[char]| line.matches(brackets).count() as i64;
        open += count(&['[', '(']) - count(&[']', ')']);
    }
    lines.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(text: &str) -> Vec<(usize, usize, Option<Lint>, String)> {
        let text = Text { shown: "src/lib.rs".into(), text: text.into() };
        of_text(&text, false).into_iter().map(|allow| (allow.first, allow.last, allow.lint, allow.reason)).collect()
    }

    #[test]
    fn an_allowance_is_about_its_line_or_what_is_below_it() {
        let reason = || "as it is".to_string();
        let beside = "let a = 1; // lint: allow(nondeterminism): as it is\nlet b = 1;";
        assert_eq!(allows(beside), [(1, 1, Some(Lint::Nondeterminism), reason())]);
        let above = "// lint: allow(unused-field): as it is\n/// A field.\n#[field(\n    \"/data/a\",\n    purpose = \"x (y\"\n)]\na: i64,\nb: i64,";
        // A bracket in a text is counted too; that makes it longer, never shorter.
        assert_eq!(allows(above)[0].0, 1);
        let plain = "// lint: allow(unused-field): as it is\n/// A field.\n#[field(\"/data/a\", purpose = \"x\")]\na: i64,\nb: i64,";
        assert_eq!(allows(plain), [(1, 4, Some(Lint::UnusedField), reason())]);
        assert_eq!(allows("// lint: allow(unknown): x")[0].2, None);
        assert_eq!(allows("// lint: allow(vector)")[0].3, "");
    }
}
