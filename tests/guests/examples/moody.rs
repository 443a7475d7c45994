//! Fails in another way on each of some rows, as a policy that is wrong about many things:
//! what it does is what the description says.

use ephor_sdk::prelude::*;
use guests::{Listing, Nothing, Rule};

struct Moody;

#[policy(name = "moody", summary = "Traps, loops or grows as it is told", events = ["retail.*"])]
impl Policy for Moody {
    type Fields<'a> = Listing<'a>;
    type Settings = Nothing;
    type State = ();
    type Rule = Rule;

    fn configure(_: Nothing) -> Result<Self, SettingsErrors> {
        Ok(Moody)
    }

    fn evaluate(&self, listing: Listing<'_>, (): &mut (), out: &mut Out<Rule>) {
        listing.see(out);
        match listing.description {
            Some("moody: trap") => panic!("the row that this guest cannot bear"),
            Some("moody: fuel") => loop {
                std::hint::black_box(());
            },
            Some("moody: memory") => {
                let mut kept: Vec<Vec<u8>> = Vec::new();
                loop {
                    // Not written to: filling costs fuel, growing costs hardly any.
                    kept.push(std::hint::black_box(Vec::with_capacity(256 << 10)));
                }
            }
            _ => {}
        }
    }
}
