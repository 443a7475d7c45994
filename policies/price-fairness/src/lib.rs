//! A customer may not be asked for far more than another one already had for the
//! same product on the same day.

use std::time::Duration;

use ephor_sdk::prelude::*;
use ephor_sdk::state::{Tumbling, minor_units};

const DAY: Duration = Duration::from_secs(86_400);
/// Days that are remembered of a product: today, yesterday for events that are
/// late, and one that may be there because of a wrong time.
const DAYS: usize = 3;
/// Prices are compared as whole numbers of ten-thousandths.
const DECIMALS: u32 = 4;

/// A line of an invoice.
#[derive(Fields)]
pub struct Line<'a> {
    #[field("/data/sku", purpose = "compare prices of the same product")]
    product: &'a str,
    #[field("/data/unit_price", purpose = "compare prices")]
    price: f64,
    #[field("/data/quantity", purpose = "leave out returns and corrections")]
    quantity: i64,
    #[field("/data/customer", purpose = "tell one customer from another; a pseudonym will do")]
    customer: Option<&'a str>,
    #[field("/time", purpose = "compare prices of the same day")]
    time: Time,
}

/// How far prices may be apart.
#[settings]
pub struct Settings {
    /// The most that a price may be, in percent of the lowest price that another
    /// customer had.
    percent: u32,
}

/// What is remembered of a product.
#[state]
pub struct Product {
    days: Tumbling<Offers>,
}

/// The lowest prices of one day.
///
/// Two are enough for the lowest of another customer: if the lowest is one's own,
/// it is the second. Those behind cannot come back, because a customer's lowest
/// price only falls.
#[state]
struct Offers {
    lowest: Option<Offer>,
    second: Option<Offer>,
}

/// The lowest price that a customer had so far.
#[state]
struct Offer {
    // lint: allow(unbounded-state): a customer's name, of two offers; no longer than its event
    customer: String,
    price: i64,
}

impl Offers {
    /// The lowest price that another customer had.
    fn of_another(&self, customer: &str) -> Option<i64> {
        let offers = [&self.lowest, &self.second];
        offers.into_iter().flatten().find(|offer| offer.customer != customer).map(|offer| offer.price)
    }

    fn add(&mut self, customer: &str, price: i64) {
        let own = self.lowest.take_if(|offer| offer.customer == customer);
        let own = own.or_else(|| self.second.take_if(|offer| offer.customer == customer));
        let offer = match own {
            Some(offer) => Offer { price: offer.price.min(price), ..offer },
            None => Offer { customer: customer.to_owned(), price },
        };
        let mut offers: Vec<_> = [self.lowest.take(), self.second.take(), Some(offer)].into_iter().flatten().collect();
        // The sort is stable: of equal prices the one that came first stays first.
        offers.sort_by_key(|offer| offer.price);
        let mut offers = offers.into_iter();
        (self.lowest, self.second) = (offers.next(), offers.next());
    }
}

/// What a price can break.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// Another customer had the product for far less on that day.
    #[rule(
        id = "unequal-price",
        action = flag,
        severity = medium,
        legal_basis = "Personal Information Protection Law of the People's Republic of China, article 24",
        en = "{product} is sold for {price}, and another customer had it for {lowest} on the same day: more than {percent} percent of that",
        zh = "商品 {product} 售价为 {price}，同日另一客户的价格为 {lowest}：超过其百分之 {percent}"
    )]
    UnequalPrice,
}

/// The limit.
pub struct PriceFairness {
    percent: i64,
}

#[policy(
    name = "price-fairness",
    summary = "Flags invoice lines whose price is far above what another customer already had for the product on that day.",
    events = ["retail.invoice.line"],
    key = ["/data/sku"],
    state_version = 1
)]
impl Policy for PriceFairness {
    type Fields<'a> = Line<'a>;
    type Settings = Settings;
    type State = Product;
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        if settings.percent < 100 {
            return Err(SettingsErrors::at("/percent", "expected 100 or more: less would forbid equal prices"));
        }
        Ok(Self { percent: settings.percent.into() })
    }

    fn evaluate(&self, line: Line<'_>, product: &mut Product, out: &mut Out<Rule>) {
        let Some(customer) = line.customer else { return };
        if line.price <= 0.0 || line.quantity <= 0 {
            return;
        }
        let Some(price) = minor_units(line.price, DECIMALS) else {
            return out.undecided(format!("the price has more than {DECIMALS} decimal places, or too many digits"));
        };
        let Some(offers) = product.days.at(line.time, DAY, DAYS) else {
            return out.undecided("the event is too late: the prices of its day are not kept any more");
        };
        if let Some(lowest) = offers.of_another(customer)
            && i128::from(price) * 100 > i128::from(lowest) * i128::from(self.percent)
        {
            out.find(Rule::UnequalPrice)
                .with("product", line.product)
                .with("price", line.price)
                .with("lowest", shown(lowest))
                .with("percent", self.percent);
        }
        offers.add(customer, price);
    }
}

/// As prices are shown elsewhere: without zeros that say nothing.
fn shown(price: i64) -> String {
    let unit = 10_i64.pow(DECIMALS);
    let decimals = format!("{:04}", price % unit);
    let decimals = decimals.trim_end_matches('0');
    if decimals.is_empty() { (price / unit).to_string() } else { format!("{}.{decimals}", price / unit) }
}
