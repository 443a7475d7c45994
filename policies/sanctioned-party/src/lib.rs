//! Nobody may pay a party that is on the sanctions list.

use ephor_sdk::prelude::*;

const SANCTIONS: List = List::of::<SanctionedParty>("sanctions");

/// A payment.
#[derive(Fields)]
pub struct Payment<'a> {
    #[field("/data/counterparty", purpose = "look the other party up in the sanctions list")]
    counterparty: &'a str,
}

/// What the publisher decides beside the list.
#[settings]
pub struct Settings {
    /// Parties on the list that may be paid under a licence, by the list's numbers.
    #[serde(default)]
    licensed: std::collections::BTreeSet<String>,
}

/// What a payment can break.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// The other party is on the list.
    #[rule(
        id = "listed-party",
        action = deny,
        severity = critical,
        legal_basis = "31 CFR chapter V (sanctions regulations of the US Office of Foreign Assets Control)",
        en = "the counterparty {party} is on the sanctions list as {name}",
        zh = "交易对方 {party} 以 {name} 之名列入制裁名单"
    )]
    ListedParty,
}

/// The parties that are let through.
pub struct SanctionedParty(Settings);

#[policy(
    name = "sanctioned-party",
    summary = "Denies payments whose counterparty is on the sanctions list.",
    events = ["payment.order"],
    lists = ["sanctions"]
)]
impl Policy for SanctionedParty {
    type Fields<'a> = Payment<'a>;
    type Settings = Settings;
    type State = ();
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        Ok(Self(settings))
    }

    fn look_up(&self, payment: &Payment<'_>, ask: &mut Ask) {
        ask.get(SANCTIONS, payment.counterparty);
    }

    fn evaluate(&self, payment: Payment<'_>, (): &mut (), out: &mut Out<Rule>) {
        let party = payment.counterparty;
        let Some(name) = SANCTIONS.get(party) else { return };
        if !self.0.licensed.contains(party) {
            out.find(Rule::ListedParty).with("party", party).with("name", name);
        }
    }
}
