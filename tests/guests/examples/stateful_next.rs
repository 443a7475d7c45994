//! Counts a customer's lines, and takes over what an earlier release counted, a
//! hundred for one; unless a customer had thirteen.

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

struct StatefulNext;

// The tests give it the name of the release before, `stateful_trap`.
#[policy(
    name = "stateful-next",
    summary = "Counts the lines of a customer, and migrates what was counted before",
    events = ["retail.*"],
    key = ["/data/customer"],
    state_version = 2,
    migrates_from = [1]
)]
impl Policy for StatefulNext {
    type Fields<'a> = Line<'a>;
    type Settings = Nothing;
    type State = Count;
    type Rule = Rule;

    fn configure(_: Nothing) -> Result<Self, SettingsErrors> {
        Ok(StatefulNext)
    }

    fn evaluate(&self, _: Line<'_>, count: &mut Count, out: &mut Out<Rule>) {
        count.lines += 1;
        out.find(Rule::Counted).with("count", count.lines);
    }

    fn migrate(_: u32, state: &[u8]) -> Result<Option<Count>, String> {
        let before = Count::decode(state)?;
        match before.lines {
            13 => Err("thirteen lines cannot be taken over".to_owned()),
            lines => Ok(Some(Count { lines: lines * 100 })),
        }
    }
}
