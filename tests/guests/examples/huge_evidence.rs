//! Gives a mebibyte of evidence for one row.

use ephor_sdk::prelude::*;
use guests::{Listing, Nothing, Rule};

struct HugeEvidence;

#[policy(name = "huge-evidence", summary = "Gives a mebibyte of evidence on one row", events = ["retail.*"])]
impl Policy for HugeEvidence {
    type Fields<'a> = Listing<'a>;
    type Settings = Nothing;
    type State = ();
    type Rule = Rule;

    fn configure(_: Nothing) -> Result<Self, SettingsErrors> {
        Ok(HugeEvidence)
    }

    fn evaluate(&self, listing: Listing<'_>, (): &mut (), out: &mut Out<Rule>) {
        listing.see(out);
        if listing.is_boom() {
            out.find(Rule::Seen).with("description", "x".repeat(1 << 20));
        }
    }
}
