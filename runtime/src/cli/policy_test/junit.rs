//! What came of each file of vectors, as JUnit XML: what build servers read.

use std::fmt::Write as _;
use std::time::Duration;

use super::diff::{Block, Paint};
use super::{Case, Ended};

/// The document: one suite, with a test case for each file.
pub fn document(policy: &str, cases: &[Case]) -> String {
    let failures = cases.iter().filter(|case| matches!(case.ended, Ended::Differs(_))).count();
    let errors = cases.iter().filter(|case| matches!(case.ended, Ended::Unusable(_))).count();
    let took: Duration = cases.iter().map(|case| case.took).sum();
    let (policy, counts) = (
        escaped(policy),
        format!("tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{:.3}\"", cases.len(), took.as_secs_f64()),
    );
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "<testsuites {counts}>\n  <testsuite name=\"{policy}\" {counts}>");
    for case in cases {
        let (name, file) = (escaped(&case.name), escaped(&case.file.display().to_string()));
        let time = case.took.as_secs_f64();
        let _ = write!(text, "    <testcase classname=\"{policy}\" name=\"{name}\" file=\"{file}\" time=\"{time:.3}\"");
        let _ = match &case.ended {
            Ended::Passed | Ended::Updated(_) => writeln!(text, "/>"),
            Ended::Differs(blocks) => {
                let told: String = blocks.iter().map(|block| block.text("", Paint::NONE)).collect();
                let (short, told) = (escaped(&in_short(blocks)), escaped(&told));
                writeln!(text, ">\n      <failure message=\"{short}\">{told}</failure>\n    </testcase>")
            }
            Ended::Unusable(why) => {
                let why = escaped(why);
                writeln!(text, ">\n      <error message=\"{why}\">{why}</error>\n    </testcase>")
            }
        };
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// The first place where something else is said, and how many more there are.
fn in_short(blocks: &[Block]) -> String {
    let first = blocks.first().map(Block::place).unwrap_or_default();
    match blocks.len() {
        0 | 1 => format!("the component says something else at {first}"),
        count => format!("the component says something else at {first}, and at {} more", count - 1),
    }
}

/// Text that may stand in an attribute or an element. XML has no way to write most
/// control characters.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\n' => escaped.push('\n'),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            letter if letter.is_control() => escaped.extend(letter.escape_default()),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_passed_failed_or_in_error() {
        let case = |name: &str, millis, ended| Case {
            name: name.into(),
            file: format!("vectors/{name}.json").into(),
            events: 1,
            took: Duration::from_millis(millis),
            ended,
        };
        let cases = [
            case("good", 1_500, Ended::Passed),
            case("b<d", 20, Ended::Differs(Vec::new())),
            case("none", 0, Ended::Unusable("none.json:1:2: \"x\" & \u{1}".into())),
        ];
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="3" failures="1" errors="1" time="1.520">
  <testsuite name="a&amp;b" tests="3" failures="1" errors="1" time="1.520">
    <testcase classname="a&amp;b" name="good" file="vectors/good.json" time="1.500"/>
    <testcase classname="a&amp;b" name="b&lt;d" file="vectors/b&lt;d.json" time="0.020">
      <failure message="the component says something else at "></failure>
    </testcase>
    <testcase classname="a&amp;b" name="none" file="vectors/none.json" time="0.000">
      <error message="none.json:1:2: &quot;x&quot; &amp; \u{1}">none.json:1:2: &quot;x&quot; &amp; \u{1}</error>
    </testcase>
  </testsuite>
</testsuites>
"#;
        assert_eq!(document("a&b", &cases), expected);
    }
}
