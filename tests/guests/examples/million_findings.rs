//! Returns a million findings for one row, and a thousand for another.

use ephor_sdk::prelude::*;
use guests::{Listing, Nothing, Rule};

struct MillionFindings;

#[policy(name = "million-findings", summary = "Says far too much about one row", events = ["retail.*"])]
impl Policy for MillionFindings {
    type Fields<'a> = Listing<'a>;
    type Settings = Nothing;
    type State = ();
    type Rule = Rule;

    fn configure(_: Nothing) -> Result<Self, SettingsErrors> {
        Ok(MillionFindings)
    }

    fn evaluate(&self, listing: Listing<'_>, (): &mut (), out: &mut Out<Rule>) {
        listing.see(out);
        let count = match listing.description {
            Some("boom") => 1_000_000,
            Some("a thousand") => 1_000,
            _ => 0,
        };
        for _ in 0..count {
            out.find(Rule::Seen);
        }
    }
}
