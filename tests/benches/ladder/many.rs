//! Many policies: ten on the same events against one, and a hundred of which one is asked
//! against that one alone.

use std::sync::atomic::{AtomicU64, Ordering};

use ephor::runtime::Limits;
use ephor_tests::forge::renamed;
use ephor_tests::guest;

use crate::orders::{Orders, event};
use crate::report::{Goal, Row};
use crate::rounds;
use crate::spine::{Loaded, Spine};

/// Events of one round.
const EVENTS: usize = 40 * 1_024;

/// Policies that a runtime takes about one type of events.
pub(crate) const ABOUT_ONE_TYPE_MAX: usize = 48;

/// Numbers of events: none comes twice.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The next events.
pub(crate) fn lines(orders: &Orders, count: usize) -> Vec<Vec<u8>> {
    let first = NEXT.fetch_add(count as u64, Ordering::Relaxed);
    let documents = &orders.documents;
    (0..count).map(|at| event(&format!("m-{}", first + at as u64), &documents[at % documents.len()]).into_bytes()).collect()
}

/// The rule of the peers, loaded so many times.
pub(crate) fn asked(orders: &Orders, times: usize) -> Loaded {
    Loaded { component: guest("order_limit"), settings: orders.settings.clone(), times }
}

/// The same, and the rule loaded so many times for events that do not come, each time with
/// fields of its own.
pub(crate) fn with_unasked(orders: &Orders, unasked: usize) -> Vec<Loaded> {
    let rule = guest("order_limit");
    let other = |at: usize| {
        let component = renamed(&rule, "order.placed", &format!("order.v{:05}", at / ABOUT_ONE_TYPE_MAX));
        let component = renamed(&component, "/data/category", &format!("/data/{at:08}"));
        let component = renamed(&component, "/data/amount_cents", &format!("/data/{at:012}"));
        Loaded { component, settings: orders.settings.clone(), times: 1 }
    };
    std::iter::once(asked(orders, 1)).chain((0..unasked).map(other)).collect()
}

/// Nanoseconds per event of each, round by round.
async fn in_turns(orders: &Orders, spines: &[&Spine]) -> Vec<Vec<f64>> {
    let mut times: Vec<Vec<f64>> = spines.iter().map(|_| Vec::new()).collect();
    for round in 0..=rounds() {
        for (spine, times) in spines.iter().zip(&mut times) {
            let (took, found) = spine.judge(lines(orders, EVENTS)).await;
            assert_eq!(found, orders.rejects_of(EVENTS), "every order that is to be denied is");
            // The first round warms up.
            if round > 0 {
                times.push(took);
            }
        }
    }
    times
}

pub(crate) async fn report() -> Vec<Row> {
    let orders = Orders::read();
    let mut rows = Vec::new();
    for (durable, name) in [(true, "durable"), (false, "in memory")] {
        let data = |name: &'static str| durable.then_some(name);
        let one = Spine::start(&[asked(&orders, 1)], data("one"), Limits::default()).await;
        let ten = Spine::start(&[asked(&orders, 10)], data("ten"), Limits::default()).await;
        let hundred = Spine::start(&with_unasked(&orders, 99), data("hundred"), Limits::default()).await;
        let times = in_turns(&orders, &[&one, &ten, &hundred]).await;
        for spine in [one, ten, hundred] {
            spine.close().await;
        }
        let of = |name: &str| if durable { name.to_string() } else { format!("{name}_in_memory") };
        let ten = Row::ratios(of("ten_policies"), &times[1], &times[0], format!("time per event with one policy, in process, {name}"));
        let ten = ten.with("ns, ten", &times[1]).with("ns, one", &times[0]);
        let hundred = Row::ratios(of("hundred_loaded"), &times[2], &times[0], format!("time per event with 1 loaded, in process, {name}"));
        let hundred = hundred.with("ns, hundred", &times[2]).with("ns, one", &times[0]);
        rows.extend(match durable {
            true => [
                ten.goal(Goal::AtMost(2.5)).line("ten policies on the same events"),
                hundred.goal(Goal::AtMost(1.1)).line("100 loaded policies"),
            ],
            false => [ten, hundred],
        });
    }
    rows
}
