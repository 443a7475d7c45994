//! The rule itself, native: what each peer is held against, in whichever process. An order
//! is rejected whose category is on the list, or whose amount is over the limit.

use std::collections::HashSet;

use serde::Deserialize;

/// What is read of an order.
#[derive(Deserialize)]
pub struct Order {
    pub category: String,
    pub amount_cents: i64,
}

#[derive(Deserialize)]
struct Settings {
    negative_categories: Vec<String>,
    limit_cents: i64,
}

/// The rule with its settings.
pub struct Rule {
    listed: HashSet<String>,
    limit_cents: i64,
}

impl Rule {
    /// Reads the settings, as JSON.
    ///
    /// # Errors
    ///
    /// If they are no settings of this rule.
    pub fn new(settings: &str) -> Result<Self, serde_json::Error> {
        let settings: Settings = serde_json::from_str(settings)?;
        Ok(Rule { listed: settings.negative_categories.into_iter().collect(), limit_cents: settings.limit_cents })
    }

    /// Whether an order is rejected.
    pub fn rejects(&self, order: &Order) -> bool {
        self.listed.contains(&order.category) || order.amount_cents > self.limit_cents
    }
}
