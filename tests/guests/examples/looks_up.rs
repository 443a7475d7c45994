//! Looks things up, and more of them than it could ever need.

use ephor_sdk::prelude::*;
use guests::{Listing, Rule};

const WORDS: List = List::of::<LooksUp>("words");

#[settings]
struct Settings {
    /// Looks something up before there is anything to look it up in.
    #[serde(default)]
    early: bool,
}

struct LooksUp;

#[policy(name = "looks-up", summary = "Looks up without end on some rows", events = ["retail.*"], lists = ["words"])]
impl Policy for LooksUp {
    type Fields<'a> = Listing<'a>;
    type Settings = Settings;
    type State = ();
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        if settings.early && WORDS.contains("word") {
            return Err(SettingsErrors::at("/early", "there was a list"));
        }
        Ok(LooksUp)
    }

    fn evaluate(&self, listing: Listing<'_>, (): &mut (), out: &mut Out<Rule>) {
        let Some(description) = listing.description else { return };
        match description {
            // A key of four bytes for a value of thousands.
            "values without end" => loop {
                std::hint::black_box(WORDS.get_many(&["long"; 64]));
            },
            "calls without end" => loop {
                std::hint::black_box(WORDS.contains_many(&[]));
            },
            "more values than fit" => {
                std::hint::black_box(WORDS.get_many(&["long"; 1_000]));
            }
            #[cfg(target_family = "wasm")]
            "no such list" => {
                let keys = ephor_sdk::wit::ephor::policy::columns::Texts { present: Vec::new(), offsets: vec![0], text: String::new() };
                ephor_sdk::wit::ephor::policy::reference::contains_many(1, &keys);
            }
            #[cfg(target_family = "wasm")]
            "no column" => {
                let keys = ephor_sdk::wit::ephor::policy::columns::Texts { present: vec![1], offsets: vec![0, 9], text: String::new() };
                ephor_sdk::wit::ephor::policy::reference::contains_many(0, &keys);
            }
            _ => {
                if let Some(value) = WORDS.get(description) {
                    out.find(Rule::Seen).with("description", value);
                }
            }
        }
    }
}
