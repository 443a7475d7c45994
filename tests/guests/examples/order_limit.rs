//! The rule that peers were measured with, over columns: an order is denied
//! whose category is on the negative list or whose amount is over the limit.

use std::collections::HashSet;

use ephor_sdk::prelude::*;

#[derive(Fields)]
pub(crate) struct Order<'a> {
    #[field("/data/category", purpose = "Compared with the negative list")]
    category: &'a str,
    #[field("/data/amount_cents", purpose = "Compared with the limit")]
    amount_cents: i64,
}

#[derive(Rules, Clone, Copy)]
pub(crate) enum Rule {
    #[rule(id = "listed-category", action = deny, severity = high, legal_basis = "None: the rule is for measurements", en = "Category {category} is on the negative list.")]
    ListedCategory,
    #[rule(id = "over-limit", action = deny, severity = high, legal_basis = "None: the rule is for measurements", en = "{amount_cents} is over the limit.")]
    OverLimit,
}

#[settings]
pub(crate) struct Limits {
    negative_categories: Vec<String>,
    limit_cents: i64,
}

pub(crate) struct OrderLimit {
    negative: HashSet<String>,
    limit_cents: i64,
}

#[policy(name = "order-limit", summary = "Denies orders of listed categories and over a limit", events = ["order.placed"])]
impl Policy for OrderLimit {
    type Fields<'a> = Order<'a>;
    type Settings = Limits;
    type State = ();
    type Rule = Rule;

    fn configure(settings: Limits) -> Result<Self, SettingsErrors> {
        Ok(OrderLimit { negative: settings.negative_categories.into_iter().collect(), limit_cents: settings.limit_cents })
    }

    fn evaluate(&self, order: Order<'_>, (): &mut (), out: &mut Out<Rule>) {
        if self.negative.contains(order.category) {
            out.find(Rule::ListedCategory).with("category", order.category);
        } else if order.amount_cents > self.limit_cents {
            out.find(Rule::OverLimit).with("amount_cents", order.amount_cents);
        }
    }
}
