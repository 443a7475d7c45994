//! The rule that peers are measured with, as an Extism plug-in: it is given an order as
//! JSON, and says `1` for one that it rejects. Its settings are read once for each instance.

use std::sync::OnceLock;

use extism_pdk::{FnResult, config, plugin_fn};

#[path = "../../src/rule.rs"]
mod rule;

static RULE: OnceLock<rule::Rule> = OnceLock::new();

#[plugin_fn]
pub fn judge(order: Vec<u8>) -> FnResult<Vec<u8>> {
    if RULE.get().is_none() {
        let settings = config::get("settings")?.unwrap_or_default();
        let _ = RULE.set(rule::Rule::new(&settings)?);
    }
    let order: rule::Order = serde_json::from_slice(&order)?;
    let rejects = RULE.get().is_some_and(|rule| rule.rejects(&order));
    Ok(vec![if rejects { b'1' } else { b'0' }])
}
