//! The same rule as `order_limit`, in the way that runtimes without columns
//! do it: the policy is given the whole document and parses it itself.

use std::collections::HashSet;

use ephor_sdk::prelude::*;
use ephor_sdk::serde_json::Value;

#[derive(Fields)]
struct Order<'a> {
    #[field("/data", purpose = "Parsed by the policy itself, to measure what that costs")]
    data: Json<'a>,
}

#[derive(Rules, Clone, Copy)]
enum Rule {
    #[rule(id = "listed-category", action = deny, severity = high, legal_basis = "None: the rule is for measurements", en = "Category {category} is on the negative list.")]
    ListedCategory,
    #[rule(id = "over-limit", action = deny, severity = high, legal_basis = "None: the rule is for measurements", en = "{amount_cents} is over the limit.")]
    OverLimit,
}

#[settings]
struct Limits {
    negative_categories: Vec<String>,
    limit_cents: i64,
}

struct JsonInGuest {
    negative: HashSet<String>,
    limit_cents: i64,
}

#[policy(name = "json-in-guest", summary = "Denies orders, parsing each by itself", events = ["order.placed"])]
impl Policy for JsonInGuest {
    type Fields<'a> = Order<'a>;
    type Settings = Limits;
    type State = ();
    type Rule = Rule;

    fn configure(settings: Limits) -> Result<Self, SettingsErrors> {
        Ok(JsonInGuest { negative: settings.negative_categories.into_iter().collect(), limit_cents: settings.limit_cents })
    }

    fn evaluate(&self, order: Order<'_>, (): &mut (), out: &mut Out<Rule>) {
        let Ok(order) = order.data.parse::<Value>() else {
            return out.undecided("the data is not JSON");
        };
        let (Some(category), Some(amount_cents)) = (order["category"].as_str(), order["amount_cents"].as_i64()) else {
            return out.undecided("the order has no category or no amount");
        };
        if self.negative.contains(category) {
            out.find(Rule::ListedCategory).with("category", category);
        } else if amount_cents > self.limit_cents {
            out.find(Rule::OverLimit).with("amount_cents", amount_cents);
        }
    }
}
