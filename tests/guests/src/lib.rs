//! What the guests have in common: they look at a listing's description, find
//! `seen` where it begins with `SEEN`, and misbehave where it is `boom`. So a
//! test can tell, row by row, what the misbehaviour reached.

use ephor_sdk::prelude::*;

/// What the guests see.
#[derive(Fields)]
pub struct Listing<'a> {
    /// What to do.
    #[field("/data/description", purpose = "Says whether to misbehave")]
    pub description: Option<&'a str>,
}

/// What the guests find.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// There was something to see.
    #[rule(id = "seen", action = flag, severity = low, legal_basis = "None: this policy is for tests", en = "Saw {description}.")]
    Seen,
}

/// They have no settings.
#[settings]
pub struct Nothing {}

impl Listing<'_> {
    /// Finds `seen` where there is something to see.
    pub fn see(&self, out: &mut Out<Rule>) {
        if let Some(description) = self.description.filter(|text| text.starts_with("SEEN")) {
            out.find(Rule::Seen).with("description", description);
        }
    }

    /// Whether this is the row to misbehave on.
    pub fn is_boom(&self) -> bool {
        self.description == Some("boom")
    }
}
