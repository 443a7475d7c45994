//! The rule of `order_limit`, which also counts the orders of each merchant: what differs is
//! the state, and nothing else.

use std::collections::HashSet;

use ephor_sdk::prelude::*;

#[derive(Fields)]
struct Order<'a> {
    #[field("/data/category", purpose = "Compared with the negative list")]
    category: &'a str,
    #[field("/data/amount_cents", purpose = "Compared with the limit")]
    amount_cents: i64,
    #[field("/data/merchant_id", purpose = "Whose orders are counted")]
    merchant: &'a str,
}

#[derive(Rules, Clone, Copy)]
enum Rule {
    #[rule(id = "listed-category", action = deny, severity = high, legal_basis = "None: the rule is for measurements", en = "Category {category} is on the negative list.")]
    ListedCategory,
    #[rule(id = "over-limit", action = deny, severity = high, legal_basis = "None: the rule is for measurements", en = "{amount_cents} is over the limit.")]
    OverLimit,
    #[rule(id = "unnamed", action = flag, severity = low, legal_basis = "None: the rule is for measurements", en = "Order {count} of a merchant without a name.")]
    Unnamed,
}

#[settings]
struct Limits {
    negative_categories: Vec<String>,
    limit_cents: i64,
}

#[state]
struct Count {
    orders: u64,
}

struct OrderCount {
    negative: HashSet<String>,
    limit_cents: i64,
}

#[policy(
    name = "order-count",
    summary = "Denies orders of listed categories and over a limit, and counts those of each merchant",
    events = ["order.placed"],
    key = ["/data/merchant_id"],
    state_version = 1
)]
impl Policy for OrderCount {
    type Fields<'a> = Order<'a>;
    type Settings = Limits;
    type State = Count;
    type Rule = Rule;

    fn configure(settings: Limits) -> Result<Self, SettingsErrors> {
        Ok(OrderCount { negative: settings.negative_categories.into_iter().collect(), limit_cents: settings.limit_cents })
    }

    fn evaluate(&self, order: Order<'_>, count: &mut Count, out: &mut Out<Rule>) {
        count.orders += 1;
        if order.merchant.is_empty() {
            out.find(Rule::Unnamed).with("count", count.orders);
        }
        if self.negative.contains(order.category) {
            out.find(Rule::ListedCategory).with("category", order.category);
        } else if order.amount_cents > self.limit_cents {
            out.find(Rule::OverLimit).with("amount_cents", order.amount_cents);
        }
    }
}
