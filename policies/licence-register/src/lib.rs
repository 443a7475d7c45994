//! Whoever sells on a platform must be in the register, with a licence for what is
//! sold, on the day of the sale.

mod licence;

use std::collections::{BTreeMap, BTreeSet};

use ephor_sdk::prelude::*;

use licence::{Day, Licence};

const LICENCES: List = List::of::<LicenceRegister>("licences");
/// The most that a time zone may be away from UTC, in minutes.
const MOST_OFFSET: i32 = 14 * 60;

/// An order that was placed with a merchant, or a listing of one.
#[derive(Fields)]
pub struct Offer<'a> {
    #[field("/data/merchant", purpose = "look the merchant up in the register of licences")]
    merchant: &'a str,
    #[field("/data/category", purpose = "know which licence the sale needs")]
    category: &'a str,
    #[field("/time", purpose = "know whether the licence is valid on the day of the sale")]
    time: Time,
}

/// Which licence a sale needs.
#[settings]
pub struct Settings {
    /// The scope that a licence must have, by category of what is sold.
    scopes: BTreeMap<String, String>,
    /// The scope for all other categories. Without it, being in the register is enough.
    otherwise: Option<String>,
    /// Categories that nobody needs to be registered for.
    #[serde(default)]
    exempt: BTreeSet<String>,
    /// How far the time zone in which licences begin and end is ahead of UTC, in minutes.
    utc_offset_minutes: i32,
}

/// What a sale can break.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// The merchant is not in the register.
    #[rule(
        id = "not-registered",
        action = deny,
        severity = high,
        legal_basis = "E-Commerce Law of the People's Republic of China, articles 10 and 38; for food, Food Safety Law, article 62",
        en = "merchant {merchant} is not in the register on {day}",
        zh = "商户 {merchant} 于 {day} 未在登记名录中"
    )]
    NotRegistered,
    /// It has no licence of the scope at all.
    #[rule(
        id = "out-of-scope",
        action = deny,
        severity = high,
        legal_basis = "E-Commerce Law of the People's Republic of China, articles 12 and 38; for food, Food Safety Law, article 62",
        en = "merchant {merchant} sells {category} on {day}, which needs a licence for {scope}; it has {has}",
        zh = "商户 {merchant} 于 {day} 销售 {category}，须持有 {scope} 许可；其现有许可为 {has}"
    )]
    OutOfScope,
    /// Its licence of the scope has ended.
    #[rule(
        id = "lapsed",
        action = deny,
        severity = high,
        legal_basis = "E-Commerce Law of the People's Republic of China, articles 12, 15 and 38; for food, Food Safety Law, article 62",
        en = "the licence of merchant {merchant} for {scope} ended with {until}, and the sale is of {day}",
        zh = "商户 {merchant} 的 {scope} 许可已于 {until} 到期，而该交易发生于 {day}"
    )]
    Lapsed,
    /// Its licence of the scope has not begun.
    #[rule(
        id = "not-yet-valid",
        action = deny,
        severity = high,
        legal_basis = "E-Commerce Law of the People's Republic of China, articles 12, 15 and 38; for food, Food Safety Law, article 62",
        en = "the licence of merchant {merchant} for {scope} begins with {from}, and the sale is of {day}",
        zh = "商户 {merchant} 的 {scope} 许可自 {from} 起生效，而该交易发生于 {day}"
    )]
    NotYetValid,
}

/// What each sale needs.
pub struct LicenceRegister(Settings);

#[policy(
    name = "licence-register",
    summary = "Denies orders and listings of merchants that are not in the register, or whose licence has lapsed, has not begun or is for something else.",
    events = ["market.order.placed", "market.listing.published"],
    lists = ["licences"]
)]
impl Policy for LicenceRegister {
    type Fields<'a> = Offer<'a>;
    type Settings = Settings;
    type State = ();
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        let mut errors = SettingsErrors::default();
        let named =
            settings.scopes.iter().map(|(category, scope)| (format!("/scopes/{}", category.replace('~', "~0").replace('/', "~1")), scope));
        for (pointer, scope) in named.chain(settings.otherwise.iter().map(|scope| ("/otherwise".to_owned(), scope))) {
            if !licence::is_scope(scope) {
                errors.push(pointer, "expected a scope as the register has them: lower-case letters, digits and hyphens");
            }
        }
        for category in settings.exempt.iter().filter(|&it| settings.scopes.contains_key(it)) {
            errors.push("/exempt", format!("`{category}` is in `scopes` too: it cannot both need a licence and none"));
        }
        if settings.utc_offset_minutes.abs() > MOST_OFFSET {
            errors.push("/utc_offset_minutes", format!("expected {} to {MOST_OFFSET}", -MOST_OFFSET));
        }
        errors.or(Self(settings))
    }

    fn look_up(&self, offer: &Offer<'_>, ask: &mut Ask) {
        if !self.0.exempt.contains(offer.category) {
            ask.get(LICENCES, offer.merchant);
        }
    }

    fn evaluate(&self, offer: Offer<'_>, (): &mut (), out: &mut Out<Rule>) {
        let Offer { merchant, category, time } = offer;
        if self.0.exempt.contains(category) {
            return;
        }
        let Some(day) = Day::of(time, self.0.utc_offset_minutes) else {
            return out.undecided("the day of the event is outside of the years 0 to 9999");
        };
        let Some(value) = LICENCES.get(merchant) else {
            out.find(Rule::NotRegistered).with("merchant", merchant).with("day", day.to_string());
            return;
        };
        let licences = match licence::read(&value) {
            Ok(licences) => licences,
            Err(problem) => return out.undecided(format!("what the register has for merchant {merchant} cannot be read: {problem}")),
        };
        let Some(scope) = self.0.scopes.get(category).or(self.0.otherwise.as_ref()) else { return };
        let of_scope: Vec<&Licence<'_>> = licences.iter().filter(|licence| licence.scope == scope).collect();
        if of_scope.iter().any(|licence| licence.covers(day)) {
            return;
        }
        let last_end = of_scope.iter().filter_map(|licence| licence.until).filter(|until| *until < day).max();
        let first_begin = of_scope.iter().map(|licence| licence.from).min();
        let found = |out: &mut Out<Rule>, rule, name, value: String| {
            let found = out.find(rule).with("merchant", merchant).with("scope", scope);
            found.with("day", day.to_string()).with(name, value);
        };
        match (last_end, first_begin) {
            (Some(until), _) => found(out, Rule::Lapsed, "until", until.to_string()),
            (None, Some(from)) => found(out, Rule::NotYetValid, "from", from.to_string()),
            (None, None) => {
                let scopes: BTreeSet<_> = licences.iter().map(|licence| licence.scope).collect();
                let scopes: Vec<_> = scopes.into_iter().collect();
                let found = out.find(Rule::OutOfScope).with("merchant", merchant).with("scope", scope);
                found.with("day", day.to_string()).with("category", category).with("has", scopes.join(", "));
            }
        }
    }
}
