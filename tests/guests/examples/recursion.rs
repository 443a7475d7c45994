//! Overflows the stack on one row.

use ephor_sdk::prelude::*;
use guests::{Listing, Nothing, Rule};

struct Recursion;

#[policy(name = "recursion", summary = "Calls itself without end on one row", events = ["retail.*"])]
impl Policy for Recursion {
    type Fields<'a> = Listing<'a>;
    type Settings = Nothing;
    type State = ();
    type Rule = Rule;

    fn configure(_: Nothing) -> Result<Self, SettingsErrors> {
        Ok(Recursion)
    }

    fn evaluate(&self, listing: Listing<'_>, (): &mut (), out: &mut Out<Rule>) {
        listing.see(out);
        if listing.is_boom() {
            out.find(Rule::Seen).with("depth", deeper(0));
        }
    }
}

/// Does something after it has called itself, so that no compiler makes a loop
/// of it.
#[expect(unconditional_recursion, reason = "that is what this guest is for")]
fn deeper(depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 16]);
    deeper(depth + 1) + std::hint::black_box(here)[3]
}
