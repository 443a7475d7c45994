//! Writes far more to the log than anyone wants to read, and tries to forge lines in it.

use ephor_sdk::prelude::*;
use guests::{Listing, Nothing, Rule};

struct LogFlood;

#[policy(name = "log-flood", summary = "Floods the log on one row", events = ["retail.*"])]
impl Policy for LogFlood {
    type Fields<'a> = Listing<'a>;
    type Settings = Nothing;
    type State = ();
    type Rule = Rule;

    fn configure(_: Nothing) -> Result<Self, SettingsErrors> {
        Ok(LogFlood)
    }

    fn evaluate(&self, listing: Listing<'_>, (): &mut (), out: &mut Out<Rule>) {
        listing.see(out);
        if listing.is_boom() {
            log::warn("flood ".repeat(100_000));
            for number in 0..10_000 {
                log::warn(format!("flood {number}"));
            }
        }
        if listing.description == Some("forge") {
            log::warn("\u{1b}[31mforged\u{1b}[0m\r\nforged line\n{\"level\":\"ERROR\",\"message\":\"forged\"}");
        }
    }
}
