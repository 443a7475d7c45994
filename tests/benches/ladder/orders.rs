//! The orders that peers were measured with, as CloudEvents, and the settings of
//! the rule. Without `../shared/data` orders of the same shape are made here.

use std::path::{Path, PathBuf};

use ephor_tests::{data, target_dir};
use serde_json::{Value, json};

/// Orders as they are, without an event around them, and the rule's settings.
pub(crate) struct Orders {
    /// One JSON text each.
    pub documents: Vec<String>,
    pub settings: String,
    /// Which the rule denies.
    denied: Vec<bool>,
}

/// An order as an event. The document stays as it is, byte by byte: only the envelope is
/// added.
pub(crate) fn event(id: &str, document: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/orders","type":"order.placed","time":"2026-01-01T00:00:00Z","datacontenttype":"application/json","data":{document}}}"#
    )
}

impl Orders {
    /// Those that peers were measured with, or others of the same shape.
    pub fn read() -> Orders {
        let folder = data::full_folder().map(|folder| folder.join("peer-rule"));
        let read = |name: &str| folder.as_ref().and_then(|folder| std::fs::read_to_string(folder.join(name)).ok());
        let (documents, settings) = match (read("events.ndjson"), read("settings.json")) {
            (Some(events), Some(settings)) => (events.lines().map(str::to_string).collect(), settings),
            _ => {
                data::left_out(
                    "the orders that peers were measured with",
                    "there is no ../shared/data; orders of the same shape take their place",
                );
                made()
            }
        };
        let denied = denied(&documents, &settings);
        Orders { documents, settings, denied }
    }

    /// How many of so many orders, one after the other and again from the first, the rule
    /// denies; counted apart from any policy.
    pub fn rejects_of(&self, count: usize) -> u64 {
        (0..count).map(|at| u64::from(self.denied[at % self.denied.len()])).sum()
    }

    /// So many of them as events, again from the first where there are fewer.
    pub fn events(&self, count: usize) -> Vec<String> {
        (0..count).map(|at| event(&at.to_string(), &self.documents[at % self.documents.len()])).collect()
    }

    /// Writes them into files, for other programs: the orders, and the settings.
    pub fn write(&self) -> (PathBuf, PathBuf) {
        let folder = target_dir().join("bench-data");
        let put = |name: &str, text: &str| {
            let file = folder.join(name);
            let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, text));
            written.unwrap_or_else(|error| panic!("{}: {error}", Path::new(name).display()));
            file
        };
        (put("orders.ndjson", &(self.documents.join("\n") + "\n")), put("orders.settings.json", &self.settings))
    }
}

fn denied(documents: &[String], settings: &str) -> Vec<bool> {
    let settings: Value = serde_json::from_str(settings).expect("settings");
    let listed = settings["negative_categories"].as_array().expect("a list");
    let is_denied = |document: &String| {
        let order: Value = serde_json::from_str(document).expect("an order");
        listed.contains(&order["category"]) || order["amount_cents"].as_i64() > settings["limit_cents"].as_i64()
    };
    documents.iter().map(is_denied).collect()
}

const KINDS: [&str; 10] = ["grocery", "pharmacy", "electronics", "apparel", "toys", "garden", "sports", "books", "auto", "home"];
const FORMS: [&str; 10] = ["fresh", "frozen", "bulk", "used", "import", "outlet", "kids", "premium", "repair", "seasonal"];

fn made() -> (Vec<String>, String) {
    let occurring = ["pharmacy", "auto"].iter().flat_map(|kind| FORMS[..5].iter().map(move |form| format!("{kind}.{form}")));
    let negative: Vec<String> = occurring.chain((0..40).map(|n| format!("restricted.item_{n:02}"))).collect();
    let mut state = 20_260_101_u64;
    let mut below = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut document = |_| {
        let items: Vec<Value> = (0..3)
            .map(|_| json!({"sku": format!("SKU-{:08}", below(100_000_000)), "name": "Cotton shirt M", "qty": 1 + below(9), "unit_price_cents": 100 + below(60_000)}))
            .collect();
        let category = format!("{}.{}", KINDS[below(10) as usize], FORMS[below(10) as usize]);
        let amount = if below(50) == 0 { 500_001 + below(8_000_000) } else { 500 + below(499_500) };
        json!({
            "order_id": format!("ord_{:016x}", below(u64::MAX)), "merchant_id": format!("mch_{:06}", below(1_000_000)),
            "buyer_id": format!("byr_{:09}", below(1_000_000_000)), "amount_cents": amount, "currency": "CNY", "category": category,
            "city": "Hangzhou", "items": items, "channel": "app", "created_at": "2026-01-03T04:05:57Z", "paid_at": "2026-01-03T04:15:13Z",
        })
        .to_string()
    };
    ((0..1_000).map(&mut document).collect(), json!({"negative_categories": negative, "limit_cents": 500_000}).to_string())
}
