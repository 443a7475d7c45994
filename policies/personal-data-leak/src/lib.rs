//! Nobody's numbers and addresses belong into what a platform publishes or passes on.

mod email;
mod label;
mod number;
mod phone;
mod plain;
mod scan;
mod walk;

use ephor_sdk::prelude::*;

pub use scan::{Kind, Scanner, Span};
use walk::Place;

/// What is published or passed on.
#[derive(Fields)]
pub struct Content<'a> {
    #[field("/data", purpose = "find numbers and addresses of people, wherever they stand")]
    data: Option<Json<'a>>,
}

/// What the publisher decides.
#[settings]
pub struct Settings {
    /// Where which kinds may stand, because the recipient needs them.
    #[serde(default)]
    expected: Vec<Expected>,
}

/// A place where some kinds are expected.
#[settings]
pub struct Expected {
    /// JSON Pointer into the event, to a value; `*` stands for any one name or index.
    pointer: String,
    /// What may stand there, by the ids of the rules.
    rules: Vec<String>,
}

/// What was found, one rule for each kind.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// A resident identity number of the People's Republic of China.
    #[rule(
        id = "identity-number",
        action = deny,
        severity = critical,
        legal_basis = "Personal Information Protection Law of the People's Republic of China, articles 25, 28 and 51; GDPR, articles 5(1)(c), 5(1)(f) and 32",
        en = "{count} resident identity numbers, the first at {where}: {mask}",
        zh = "含 {count} 个居民身份证号码，首个位于 {where}：{mask}"
    )]
    IdentityNumber,
    /// The number of a payment card.
    #[rule(
        id = "payment-card",
        action = deny,
        severity = critical,
        legal_basis = "Personal Information Protection Law of the People's Republic of China, articles 25, 28 and 51; GDPR, articles 5(1)(c), 5(1)(f) and 32",
        en = "{count} payment card numbers, the first at {where}: {mask}",
        zh = "含 {count} 个支付卡号，首个位于 {where}：{mask}"
    )]
    PaymentCard,
    /// An international bank account number.
    #[rule(
        id = "bank-account",
        action = deny,
        severity = high,
        legal_basis = "Personal Information Protection Law of the People's Republic of China, articles 25, 28 and 51; GDPR, articles 5(1)(c), 5(1)(f) and 32",
        en = "{count} bank account numbers, the first at {where}: {mask}",
        zh = "含 {count} 个银行账号，首个位于 {where}：{mask}"
    )]
    BankAccount,
    /// The unified social credit code of a self-employed household.
    #[rule(
        id = "sole-trader-code",
        action = flag,
        severity = low,
        legal_basis = "Personal Information Protection Law of the People's Republic of China, articles 4 and 6",
        en = "{count} credit codes of self-employed people, the first at {where}: {mask}",
        zh = "含 {count} 个个体工商户统一社会信用代码，首个位于 {where}：{mask}"
    )]
    SoleTraderCode,
    /// A telephone number.
    #[rule(
        id = "phone-number",
        action = flag,
        severity = medium,
        legal_basis = "Personal Information Protection Law of the People's Republic of China, articles 25 and 51; GDPR, articles 5(1)(c), 5(1)(f) and 32",
        en = "{count} telephone numbers, the first at {where}: {mask}",
        zh = "含 {count} 个电话号码，首个位于 {where}：{mask}"
    )]
    PhoneNumber,
    /// An e-mail address.
    #[rule(
        id = "email-address",
        action = flag,
        severity = medium,
        legal_basis = "Personal Information Protection Law of the People's Republic of China, articles 25 and 51; GDPR, articles 5(1)(c), 5(1)(f) and 32",
        en = "{count} e-mail addresses, the first at {where}: {mask}",
        zh = "含 {count} 个电子邮箱地址，首个位于 {where}：{mask}"
    )]
    EmailAddress,
}

/// Every kind with its rule and the rule's id, in the order of the findings.
const KINDS: [(Kind, Rule, &str); 6] = [
    (Kind::Identity, Rule::IdentityNumber, "identity-number"),
    (Kind::Card, Rule::PaymentCard, "payment-card"),
    (Kind::Account, Rule::BankAccount, "bank-account"),
    (Kind::SoleTrader, Rule::SoleTraderCode, "sole-trader-code"),
    (Kind::Phone, Rule::PhoneNumber, "phone-number"),
    (Kind::Email, Rule::EmailAddress, "email-address"),
];

/// The search, and where what is expected.
pub struct PersonalDataLeak {
    scanner: Scanner,
    expected: Vec<(Vec<String>, Vec<Kind>)>,
}

/// What was found of one kind.
#[derive(Default)]
struct Tally {
    count: u64,
    places: u64,
    /// The first place by the order of pointers, and the first there without what it shows.
    first: Option<(String, String)>,
}

#[policy(
    name = "personal-data-leak",
    summary = "Finds numbers and addresses of people in published content, messages and records.",
    events = ["content.*", "message.*", "record.*"]
)]
impl Policy for PersonalDataLeak {
    type Fields<'a> = Content<'a>;
    type Settings = Settings;
    type State = ();
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        let mut errors = SettingsErrors::default();
        let mut expected = Vec::with_capacity(settings.expected.len());
        for (index, Expected { pointer, rules }) in settings.expected.iter().enumerate() {
            let names: Option<Vec<_>> = pointer.strip_prefix("/data").and_then(|rest| match rest {
                "" => Some(Vec::new()),
                _ => Some(rest.strip_prefix('/')?.split('/').map(str::to_owned).collect()),
            });
            if names.is_none() {
                errors.push(format!("/expected/{index}/pointer"), "expected a JSON Pointer to /data or into it");
            }
            let kind = |id: &String| KINDS.iter().find(|(_, _, known)| known == id).map(|it| it.0);
            let mut kinds = Vec::with_capacity(rules.len());
            for (at, rule) in rules.iter().enumerate() {
                match kind(rule) {
                    Some(kind) => kinds.push(kind),
                    None => errors.push(format!("/expected/{index}/rules/{at}"), "expected the id of a rule of this policy"),
                }
            }
            expected.push((names.unwrap_or_default(), kinds));
        }
        errors.or(Self { scanner: Scanner::new(), expected })
    }

    fn evaluate(&self, content: Content<'_>, (): &mut (), out: &mut Out<Rule>) {
        let Some(data) = content.data else { return };
        let mut tallies: [Tally; KINDS.len()] = Default::default();
        let read = walk::texts(data.0, |place, text| {
            let name = place.name();
            let spans = self.scanner.spans(text, name);
            let mut met = [false; KINDS.len()];
            for span in spans {
                if self.is_expected(place, span.kind) {
                    continue;
                }
                let tally = &mut tallies[span.kind as usize];
                tally.count += 1;
                if !met[span.kind as usize] {
                    met[span.kind as usize] = true;
                    tally.places += 1;
                    let pointer = place.pointer(&self.scanner);
                    if tally.first.as_ref().is_none_or(|(first, _)| pointer < *first) {
                        tally.first = Some((pointer, span.kind.mask(&text[span.range])));
                    }
                }
            }
        });
        if let Err(error) = read {
            return out.undecided(format!("/data cannot be read: {error}"));
        }
        for ((_, rule, _), tally) in KINDS.into_iter().zip(tallies) {
            if let Some((place, mask)) = tally.first {
                out.find(rule).with("count", tally.count).with("where", place).with("places", tally.places).with("mask", mask);
            }
        }
    }
}

impl PersonalDataLeak {
    fn is_expected(&self, place: &Place, kind: Kind) -> bool {
        self.expected.iter().any(|(names, kinds)| kinds.contains(&kind) && place.matches(names))
    }
}
