//! Counts a customer's lines, reports each count, and panics on one row: the
//! count of the other rows must be as if that row had never been.

use ephor_sdk::prelude::*;

#[derive(Fields)]
struct Line<'a> {
    #[field("/data/customer", purpose = "Whose lines are counted")]
    _customer: &'a str,
    #[field("/data/description", purpose = "Says whether to misbehave")]
    description: Option<&'a str>,
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

struct StatefulTrap;

#[policy(
    name = "stateful-trap",
    summary = "Counts the lines of a customer and panics on one row",
    events = ["retail.*"],
    key = ["/data/customer"],
    state_version = 1
)]
impl Policy for StatefulTrap {
    type Fields<'a> = Line<'a>;
    type Settings = Nothing;
    type State = Count;
    type Rule = Rule;

    fn configure(_: Nothing) -> Result<Self, SettingsErrors> {
        Ok(StatefulTrap)
    }

    fn evaluate(&self, line: Line<'_>, count: &mut Count, out: &mut Out<Rule>) {
        count.lines += 1;
        assert_ne!(line.description, Some("boom"), "the row that this guest cannot bear");
        out.find(Rule::Counted).with("count", count.lines);
    }
}
