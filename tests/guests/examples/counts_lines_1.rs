//! Counts a customer's lines: the release before `counts_lines_2`.

use ephor_sdk::prelude::*;

#[derive(Fields)]
struct Line<'a> {
    #[field("/data/customer", purpose = "Whose lines are counted")]
    _customer: &'a str,
}

#[derive(Rules, Clone, Copy)]
enum Rule {
    #[rule(id = "counted", action = flag, severity = low, legal_basis = "None: this policy is for tests", en = "Line {count}.")]
    Counted,
}

#[settings]
struct Nothing {}

#[state]
struct Count {
    lines: u64,
}

struct CountsLines;

#[policy(
    name = "counts-lines-1",
    summary = "Counts the lines of a customer",
    events = ["retail.*"],
    key = ["/data/customer"],
    state_version = 1
)]
impl Policy for CountsLines {
    type Fields<'a> = Line<'a>;
    type Settings = Nothing;
    type State = Count;
    type Rule = Rule;

    fn configure(_: Nothing) -> Result<Self, SettingsErrors> {
        Ok(CountsLines)
    }

    fn evaluate(&self, _: Line<'_>, count: &mut Count, out: &mut Out<Rule>) {
        count.lines += 1;
        out.find(Rule::Counted).with("count", count.lines);
    }
}
