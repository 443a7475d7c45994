//! Personal data may be used for what the person agreed to, as long as that holds,
//! and by those whom the person was told of.

mod consent;

use std::collections::{BTreeMap, BTreeSet};

use ephor_sdk::prelude::*;

use consent::{Consent, Known, MOST_CHANGES, MOST_RECIPIENTS, MOST_USES, Person, TooMany};

/// The type of the events that are judged; the others say what is allowed.
const USED: &str = "privacy.data.used";
const GIVEN: &str = "privacy.consent.given";

/// A use of personal data, a consent, or its withdrawal.
#[derive(Fields)]
pub struct Happened<'a> {
    #[field("/type", purpose = "tell a use from a consent and from its withdrawal")]
    kind: &'a str,
    #[field("/time", purpose = "know which consent was in force when the data was used")]
    time: Time,
    // Named so that it is part of the key: who somebody is, the policy need not know.
    #[expect(dead_code, reason = "the host keeps the state by it")]
    #[field("/data/subject", purpose = "keep the consents of one person apart from those of another", form = pseudonym)]
    subject: &'a str,
    #[field("/data/category", purpose = "compare what is used with what the consent is about")]
    category: &'a str,
    #[field("/data/purpose", purpose = "compare what the data is used for with what the consent names")]
    purpose: Option<&'a str>,
    #[field("/data/ground", purpose = "let through what needs no consent")]
    ground: Option<&'a str>,
    #[field("/data/recipient", purpose = "compare who gets the data with whom the consent names")]
    recipient: Option<&'a str>,
    #[field("/data/purposes", purpose = "know what a consent or its withdrawal is about")]
    purposes: Option<Json<'a>>,
    #[field("/data/recipients", purpose = "know who may get the data under a consent")]
    recipients: Option<Json<'a>>,
    #[field("/data/until", purpose = "know when a consent ends")]
    until: Option<Time>,
}

/// What needs no consent.
#[settings]
pub struct Settings {
    /// Legal grounds other than consent, each with the purposes that it is good for.
    #[serde(default)]
    grounds: BTreeMap<String, BTreeSet<String>>,
    /// Recipients that process on behalf of the platform: no consent has to name them.
    #[serde(default)]
    processors: BTreeSet<String>,
}

/// What a use can break.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// There is no consent for the category, for whatever purpose.
    #[rule(
        id = "use-without-consent",
        action = deny,
        severity = high,
        legal_basis = "Personal Information Protection Law of the People's Republic of China, article 13; GDPR, article 6(1)",
        en = "{category} is used for {purpose} on {at} without consent or another ground",
        zh = "{category} 于 {at} 被用于 {purpose}，既无同意，也无其他合法依据"
    )]
    WithoutConsent,
    /// There is one, for other purposes.
    #[rule(
        id = "other-purpose",
        action = deny,
        severity = high,
        legal_basis = "Personal Information Protection Law of the People's Republic of China, articles 6 and 14; GDPR, articles 5(1)(b) and 6(4)",
        en = "{category} is used for {purpose} on {at}; the consent is for {agreed}",
        zh = "{category} 于 {at} 被用于 {purpose}，而同意的处理目的为 {agreed}"
    )]
    OtherPurpose,
    /// There was one, which the person has withdrawn.
    #[rule(
        id = "after-withdrawal",
        action = deny,
        severity = high,
        legal_basis = "Personal Information Protection Law of the People's Republic of China, article 15; GDPR, article 7(3)",
        en = "{category} is used for {purpose} on {at}; the consent was withdrawn on {withdrawn}",
        zh = "{category} 于 {at} 被用于 {purpose}，而该同意已于 {withdrawn} 撤回"
    )]
    AfterWithdrawal,
    /// There was one, which has ended.
    #[rule(
        id = "expired",
        action = deny,
        severity = high,
        legal_basis = "Personal Information Protection Law of the People's Republic of China, articles 6 and 14; GDPR, articles 5(1)(b) and 6(1)(a)",
        en = "{category} is used for {purpose} on {at}; the consent ended on {until}",
        zh = "{category} 于 {at} 被用于 {purpose}，而该同意已于 {until} 到期"
    )]
    Expired,
    /// The purpose is agreed to, and the recipient is not.
    #[rule(
        id = "unlisted-recipient",
        action = deny,
        severity = high,
        legal_basis = "Personal Information Protection Law of the People's Republic of China, article 23; GDPR, article 6(1)(a)",
        en = "{category} goes to {recipient} for {purpose} on {at}; the consent does not name this recipient",
        zh = "{category} 于 {at} 因 {purpose} 提供给 {recipient}，而同意未列明该接收方"
    )]
    UnlistedRecipient,
}

/// What needs no consent.
pub struct PurposeLimit(Settings);

#[policy(
    name = "purpose-limit",
    summary = "Denies uses of personal data that the person has not agreed to: the purpose, the time or the recipient.",
    events = ["privacy.data.used", "privacy.consent.given", "privacy.consent.withdrawn"],
    key = ["/data/subject"],
    state_version = 1
)]
impl Policy for PurposeLimit {
    type Fields<'a> = Happened<'a>;
    type Settings = Settings;
    type State = Person;
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        let mut errors = SettingsErrors::default();
        for (ground, _) in settings.grounds.iter().filter(|(_, purposes)| purposes.is_empty()) {
            let ground = ground.replace('~', "~0").replace('/', "~1");
            errors.push(format!("/grounds/{ground}"), "expected a purpose that the ground is good for");
        }
        errors.or(Self(settings))
    }

    fn evaluate(&self, happened: Happened<'_>, person: &mut Person, out: &mut Out<Rule>) {
        if happened.kind == USED {
            return self.judge(&happened, person, out);
        }
        if let Err(problem) = take_note(&happened, person) {
            out.undecided(problem);
        }
    }
}

impl PurposeLimit {
    fn judge(&self, used: &Happened<'_>, person: &Person, out: &mut Out<Rule>) {
        let Some(purpose) = used.purpose else {
            return out.undecided("the use names no purpose: `/data/purpose` is missing");
        };
        let has_ground = used.ground.and_then(|ground| self.0.grounds.get(ground)).is_some_and(|purposes| purposes.contains(purpose));
        if has_ground {
            return;
        }
        let find = |out: &mut Out<Rule>, rule, name, value: String| {
            let found = out.find(rule).with("category", used.category).with("purpose", purpose).with("at", used.time);
            if !value.is_empty() {
                found.with(name, value);
            }
        };
        match person.at(used.category, purpose, used.time) {
            Known::Forgotten => out.undecided(format!(
                "the use is too late: only the {MOST_CHANGES} latest consents and withdrawals of a category and purpose are kept"
            )),
            Known::Agreed(recipients) => {
                if let Some(recipient) = used.recipient.filter(|&it| !recipients.contains(it) && !self.0.processors.contains(it)) {
                    find(out, Rule::UnlistedRecipient, "recipient", recipient.to_owned());
                }
            }
            Known::Withdrawn(at) => find(out, Rule::AfterWithdrawal, "withdrawn", at.to_string()),
            Known::Ended(until) => find(out, Rule::Expired, "until", until.to_string()),
            Known::Nothing => {
                let agreed = person.agreed(used.category, used.time);
                match agreed.is_empty() {
                    true => find(out, Rule::WithoutConsent, "", String::new()),
                    false => find(out, Rule::OtherPurpose, "agreed", agreed.join(", ")),
                }
            }
        }
    }
}

/// Remembers a consent or a withdrawal; the error says why it cannot.
fn take_note(happened: &Happened<'_>, person: &mut Person) -> Result<(), String> {
    let purposes = texts(happened.purposes, "/data/purposes")?;
    if purposes.is_empty() {
        return Err("it names no purpose: `/data/purposes` is missing or empty".to_owned());
    }
    let change = match happened.kind {
        GIVEN => {
            if happened.until.is_some_and(|until| until <= happened.time) {
                return Err("the consent ends before it begins: `/data/until` is not after `/time`".to_owned());
            }
            let recipients = texts(happened.recipients, "/data/recipients")?;
            if recipients.len() > MOST_RECIPIENTS {
                return Err(format!("the consent names more than {MOST_RECIPIENTS} recipients, which are not kept"));
            }
            Some(Consent { until: happened.until, recipients })
        }
        _ => None,
    };
    for purpose in &purposes {
        let changed = person.change(happened.category, purpose, happened.time, change.clone());
        changed.map_err(|TooMany| format!("the subject has consents to {MOST_USES} pairs of category and purpose; no more are kept"))?;
    }
    Ok(())
}

/// A list of texts; none if there is no list.
fn texts(json: Option<Json<'_>>, pointer: &str) -> Result<BTreeSet<String>, String> {
    json.map_or_else(|| Ok(BTreeSet::new()), |json| json.parse().map_err(|_| format!("`{pointer}` is not a list of texts")))
}
