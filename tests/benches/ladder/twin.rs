//! State: a policy that counts the orders of each of a million merchants, against its twin
//! that has the same rule and remembers nothing. A few merchants have most orders (Zipf).

use ephor::runtime::Limits;
use ephor_tests::guest;

use crate::keys::drawn;
use crate::orders::{Orders, event};
use crate::report::{Goal, Row};
use crate::spine::{GROUP, Loaded, Spine};
use crate::{rounds, setting};

/// Keys that have a state before anything is measured, if nothing else is said
/// (`EPHOR_BENCH_KEYS`).
const KEYS: usize = 1_000_000;

/// Events of one round.
const EVENTS: u64 = 100 * GROUP as u64;

/// Orders without their merchant.
pub(crate) struct Merchants {
    orders: Vec<[String; 2]>,
}

impl Merchants {
    pub fn of(orders: &Orders) -> Merchants {
        let cut = |document: &String| {
            let (before, rest) = document.split_once("\"merchant_id\":\"").expect("an order has a merchant");
            let (_, behind) = rest.split_once('"').expect("a name ends");
            [format!("{before}\"merchant_id\":\"mch_"), format!("\"{behind}")]
        };
        Merchants { orders: orders.documents.iter().map(cut).collect() }
    }

    /// The order of that number by that merchant.
    pub fn line(&self, prefix: &str, number: u64, merchant: u64) -> Vec<u8> {
        let [before, behind] = &self.orders[number as usize % self.orders.len()];
        event(&format!("{prefix}-{number}"), &format!("{before}{merchant:08}{behind}")).into_bytes()
    }
}

/// Room for all states: what is measured is not the disk that they would be read from.
pub(crate) fn roomy() -> Limits {
    Limits { state_bytes_max: 16 << 30, state_memory_bytes_max: 16 << 30, ..Limits::default() }
}

/// Has an order of each merchant judged, so that each has a state.
pub(crate) async fn fill(spine: &Spine, merchants: &Merchants, from: u64, keys: u64) {
    let step = 100 * GROUP as u64;
    for first in (from..keys).step_by(step as usize) {
        spine.judge((first..(first + step).min(keys)).map(|key| merchants.line("fill", key, key)).collect()).await;
    }
}

pub(crate) async fn report() -> Vec<Row> {
    let orders = Orders::read();
    let merchants = Merchants::of(&orders);
    let of = |name: &str| [Loaded { component: guest(name), settings: orders.settings.clone(), times: 1 }];
    let stateful = Spine::start(&of("order_count"), Some("stateful"), roomy()).await;
    let stateless = Spine::start(&of("order_limit"), Some("stateless"), roomy()).await;
    let keys = setting("EPHOR_BENCH_KEYS", KEYS) as u64;
    fill(&stateful, &merchants, 0, keys).await;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let mut number = keys;
    for round in 0..=rounds() {
        let lines: Vec<Vec<u8>> = (number..number + EVENTS).map(|at| merchants.line("drawn", at, drawn(at, keys))).collect();
        number += EVENTS;
        let (took, found) = stateful.judge(lines.clone()).await;
        let (took_without, found_without) = stateless.judge(lines).await;
        assert_eq!(found, found_without, "both find the same");
        // The first round warms up.
        if round > 0 {
            with.push(took);
            without.push(took_without);
        }
    }
    stateful.close().await;
    stateless.close().await;
    let row = Row::ratios("stateful_vs_stateless", &with, &without, "time per event of its stateless twin, in process, durable");
    let row = row.with("ns, stateful", &with).with("ns, stateless", &without);
    vec![row.goal(Goal::AtMost(2.5)).line("stateful policy, one million keys")]
}
