//! A policy with everything in it: what the derives declare, and what becomes of rows and states.

use ephor_sdk::prelude::*;
use ephor_sdk::serde_json::{self, Value, json};
use ephor_sdk::testing::{Judged, Policy as Trial};
use ephor_sdk::wit::ephor::policy::manifest::{Action, Field, Keyed, Kind, Message, Severity};

#[derive(Fields)]
struct Sale<'a> {
    #[field("/data/shop", purpose = "count by shop")]
    shop: &'a str,
    #[field("/data/licence", purpose = "find the licence")]
    licence: Option<&'a str>,
    #[field("/data/amount", purpose = "compare amounts")]
    amount: f64,
    #[field("/data/count", purpose = "compare counts")]
    count: Option<i64>,
    #[field("/data/paid", purpose = "leave out what is not paid")]
    paid: Option<bool>,
    #[field("/time", purpose = "say when")]
    time: Time,
    #[field("/data/a~1b", purpose = "read the items")]
    items: Option<Json<'a>>,
}

/// What the shop owner decides.
#[settings]
struct Settings {
    /// The largest amount.
    limit: f64,
    nested: Option<Nested>,
}

#[settings]
struct Nested {
    #[serde(default)]
    numbers: Vec<u8>,
}

#[state]
struct Shop {
    over: u64,
    last: Option<String>,
}

#[derive(Rules, Clone, Copy)]
enum Rule {
    #[rule(id = "over-limit", action = deny, severity = critical, legal_basis = "Act, section 1",
        en = "{amount} is over the limit", zh_Hant = "{amount} 超過限額")]
    OverLimit,
    #[rule(id = "no-licence", action = flag, severity = low, legal_basis = "Act, section 2", de = "ohne Lizenz")]
    NoLicence,
}

struct Sales {
    limit: f64,
}

const LICENCES: List = List::of::<Sales>("licences");

#[policy(
    name = "sales",
    summary = "Looks at sales.",
    events = ["shop.*", "till.sale"],
    key = ["/data/shop"],
    state_version = 3,
    lists = ["streets", "licences"],
)]
impl Policy for Sales {
    type Fields<'a> = Sale<'a>;
    type Settings = Settings;
    type State = Shop;
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        let mut errors = SettingsErrors::default();
        if settings.limit < 0.0 {
            errors.push("/limit", "expected zero or more");
        }
        if settings.nested.is_some_and(|nested| nested.numbers.is_empty()) {
            errors.push("/nested/numbers", "expected a number");
        }
        errors.or(Self { limit: settings.limit })
    }

    fn look_up(&self, sale: &Sale<'_>, ask: &mut Ask) {
        // Only some of what `evaluate` looks up, which must make no difference.
        if let Some(licence) = sale.licence.filter(|licence| *licence != "L2") {
            ask.contains(LICENCES, licence);
        }
    }

    fn evaluate(&self, sale: Sale<'_>, shop: &mut Shop, out: &mut Out<Rule>) {
        if sale.paid == Some(false) {
            return;
        }
        if let Some(licence) = sale.licence
            && !LICENCES.contains(licence)
        {
            out.find(Rule::NoLicence).with("licence", licence).with("at", sale.time);
        }
        if let Some(items) = sale.items
            && let Err(error) = items.parse::<Vec<String>>()
        {
            return out.undecided(format!("items: {error}"));
        }
        if sale.amount > self.limit {
            shop.over += 1;
            shop.last = sale.licence.and_then(|licence| LICENCES.get(licence));
            out.find(Rule::OverLimit)
                .with("shop", sale.shop)
                .with("amount", sale.amount)
                .with("count", sale.count.unwrap_or_default())
                .with("over", shop.over);
        }
        if sale.amount == -1.0 {
            *shop = Shop::default();
        }
    }
}

fn trial() -> Trial<Sales> {
    Trial::new(r#"{"limit": 10}"#).expect("the settings are good").with_list("licences", [("L1", "first")])
}

fn event(data: Value) -> Value {
    let mut event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "till.sale", "time": "2026-01-02T03:04:05Z"});
    event["data"] = data;
    event
}

fn found(rule: &str, evidence: Value) -> Value {
    let mut finding = json!({"rule": rule});
    finding["evidence"] = evidence;
    Value::Array(vec![finding])
}

fn shown(judged: &Judged) -> Value {
    json!(judged.findings())
}

#[test]
fn declares_the_manifest() {
    let manifest = ephor_sdk::describe::<Sales>();
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("sales", env!("CARGO_PKG_VERSION")));
    assert_eq!(manifest.events, ["shop.*", "till.sale"]);
    assert_eq!(manifest.lists, ["streets", "licences"]);
    assert_eq!(manifest.keyed, Some(Keyed { key: vec![0], state_version: 3, migrates_from: vec![], resets: false, timers: false }));
    let fields: Vec<_> = manifest.fields.iter().map(|it| (it.pointer.as_str(), it.kind, it.required)).collect();
    assert_eq!(
        fields,
        [
            ("/data/shop", Kind::Text, true),
            ("/data/licence", Kind::Text, false),
            ("/data/amount", Kind::Float, true),
            ("/data/count", Kind::Integer, false),
            ("/data/paid", Kind::Boolean, false),
            ("/time", Kind::Time, true),
            ("/data/a~1b", Kind::Json, false),
        ]
    );
    let first: &Field = &manifest.fields[0];
    assert_eq!(first.purpose, "count by shop");
    let rules: Vec<_> = manifest.rules.iter().map(|it| (it.id.as_str(), it.action, it.severity)).collect();
    assert_eq!(rules, [("over-limit", Action::Deny, Severity::Critical), ("no-licence", Action::Flag, Severity::Low)]);
    let message = |language: &str, text: &str| Message { language: language.into(), text: text.into() };
    assert_eq!(manifest.rules[0].messages, [message("en", "{amount} is over the limit"), message("zh-Hant", "{amount} 超過限額")]);

    let schema: Value = serde_json::from_str(&manifest.settings_schema).expect("the schema is JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["limit"]));
    assert_eq!(schema["properties"]["limit"]["description"], "The largest amount.");
}

#[test]
fn refuses_settings_at_their_place() {
    let refused = |settings: &str| match Trial::<Sales>::new(settings) {
        Ok(_) => panic!("{settings} is taken"),
        Err(errors) => errors.to_string(),
    };
    assert!(refused("{").starts_with("the settings: EOF"));
    assert!(refused("{}").starts_with("the settings: missing field `limit`"));
    assert!(refused(r#"{"limit": 1} 2"#).starts_with("the settings: trailing characters"));
    assert!(refused(r#"{"limit": 1, "limits": 2}"#).starts_with("/limits: unknown field"));
    assert!(refused(r#"{"limit": 1, "nested": {"numbers": [1, 256]}}"#).starts_with("/nested/numbers/1: invalid value"));
    assert_eq!(refused(r#"{"limit": -1, "nested": {}}"#), "/limit: expected zero or more\n/nested/numbers: expected a number");
}

#[test]
fn reads_fields_as_the_contract_says() {
    let mut trial = trial();
    let mut judge = |event: Value| trial.judge(&[event]).remove(0);
    let clean = Judged::Findings(Vec::new());
    let unreadable = |pointer: &str| Judged::Unreadable(pointer.into());

    assert_eq!(judge(event(json!({"shop": "a", "amount": 1}))), clean);
    assert_eq!(judge(event(json!({"shop": "a", "amount": 1, "licence": null, "count": null}))), clean);
    assert_eq!(judge(event(json!({"shop": "a"}))), unreadable("/data/amount"));
    assert_eq!(judge(event(json!({"shop": null, "amount": 1}))), unreadable("/data/shop"));
    assert_eq!(judge(event(json!({"shop": "a", "amount": "1"}))), unreadable("/data/amount"));
    assert_eq!(judge(event(json!({"shop": "a", "amount": 1, "count": 1.0}))), unreadable("/data/count"));
    assert_eq!(judge(event(json!({"shop": "a", "amount": 1, "count": u64::MAX}))), unreadable("/data/count"));
    assert_eq!(judge(event(json!({"shop": "a", "amount": 1, "paid": 0}))), unreadable("/data/paid"));
    let mut later = event(json!({"shop": "a", "amount": 1}));
    later["time"] = "yesterday".into();
    assert_eq!(judge(later.clone()), unreadable("/time"));
    later["type"] = "other.sale".into();
    assert_eq!(judge(later), clean);

    let items = |items: Value| event(json!({"shop": "a", "amount": 11, "licence": "L9", "a/b": items}));
    let Judged::Undecided(reason) = judge(items(json!({"x": 1}))) else {
        panic!("the items cannot be read");
    };
    assert!(reason.starts_with("items: invalid type: map"), "{reason}");
    assert_eq!(judge(items(json!(["x"]))).findings().len(), 2);
}

#[test]
fn keeps_a_state_by_key() {
    let mut trial = trial();
    let sale = |shop: &str, amount: f64| event(json!({"shop": shop, "amount": amount, "licence": "L1"}));
    let over =
        |shop: &str, amount: &str, over: &str| found("over-limit", json!({"shop": shop, "amount": amount, "count": "0", "over": over}));
    let judged = trial.judge(&[sale("a", 10.5), sale("b", 1.0), sale("a", 12.0)]);
    let judged: Vec<_> = judged.iter().map(shown).collect();
    assert_eq!(judged, [over("a", "10.5", "1"), json!([]), over("a", "12", "2")]);
    let kept = trial.state(&["a".into()]);
    assert_eq!((kept.over, kept.last.as_deref()), (2, Some("first")));
    assert_eq!(trial.encoded_state(&["b".into()]), None);

    let judged = trial.judge(&[sale("b", 11.0), sale("a", 11.0)]);
    let judged: Vec<_> = judged.iter().map(shown).collect();
    assert_eq!(judged, [over("b", "11", "1"), over("a", "11", "3")]);

    trial.judge(&[sale("a", -1.0)]);
    assert_eq!(trial.encoded_state(&["a".into()]), None);
}

#[test]
fn gives_back_changed_states_only() {
    let mut trial = trial();
    let sale = |shop: &str, amount: i64| event(json!({"shop": shop, "amount": amount}));
    trial.judge(&[sale("a", 20), sale("b", 20)]);
    let mut batch = trial.columns(&[sale("b", 1), sale("a", 20), sale("b", 2)]);
    assert_eq!(batch.keys.as_ref().expect("the policy has a key").of_row, [0, 1, 0]);
    let outcome = trial.judge_batch(&batch);
    assert_eq!(outcome.findings.iter().map(|it| it.row).collect::<Vec<_>>(), [1]);
    let changed: Vec<_> = outcome.states.iter().map(|it| (it.key, it.state.clone())).collect();
    assert_eq!(changed, [(1, Shop { over: 2, last: None }.encode())]);

    let keys = batch.keys.as_mut().expect("the policy has a key");
    keys.states[0] = Some(b"not a state".to_vec());
    let outcome = trial.judge_batch(&batch);
    let undecided: Vec<_> = outcome.undecided.iter().map(|it| it.row).collect();
    assert_eq!(undecided, [0, 2]);
    assert!(outcome.undecided[0].reason.starts_with("the state of the key cannot be read"));
    assert_eq!(outcome.states.len(), 1);
}

#[test]
fn looks_things_up_by_the_names_of_lists() {
    let mut trial = trial();
    let sale = |licence: &str| event(json!({"shop": "a", "amount": 1, "licence": licence}));
    let judged = trial.judge(&[sale("L1"), sale("L2")]);
    assert_eq!(shown(&judged[0]), json!([]));
    let missing = found("no-licence", json!({"licence": "L2", "at": "2026-01-02T03:04:05Z"}));
    assert_eq!(shown(&judged[1]), missing);
}
