//! Reports every value that it is given, one field of each kind: what the
//! projection takes out of an event, seen from inside.

use ephor_sdk::prelude::*;

#[derive(Fields)]
struct Values<'a> {
    #[field("/data/boolean", purpose = "To report it")]
    boolean: Option<bool>,
    #[field("/data/integer", purpose = "To report it")]
    integer: Option<i64>,
    #[field("/data/float", purpose = "To report it")]
    float: Option<f64>,
    #[field("/data/text", purpose = "To report it")]
    text: Option<&'a str>,
    #[field("/data/time", purpose = "To report it")]
    time: Option<Time>,
    #[field("/data/json", purpose = "To report it")]
    json: Option<Json<'a>>,
    #[field("/data/list/1/in~1side", purpose = "To report a value deep inside")]
    deep: Option<i64>,
    #[field("/subject", purpose = "To report an attribute")]
    subject: Option<&'a str>,
    #[field("/time", purpose = "To report an attribute")]
    at: Option<Time>,
    #[field("/region", purpose = "To report an extension attribute")]
    region: Option<&'a str>,
}

#[derive(Rules, Clone, Copy)]
enum Rule {
    #[rule(id = "echo", action = flag, severity = low, legal_basis = "None: this policy is for tests", en = "Here is what I see.")]
    Echo,
}

#[settings]
struct Nothing {}

struct EchoKinds;

#[policy(name = "echo-kinds", summary = "Reports every value that it is given", events = ["echo"])]
impl Policy for EchoKinds {
    type Fields<'a> = Values<'a>;
    type Settings = Nothing;
    type State = ();
    type Rule = Rule;

    fn configure(_: Nothing) -> Result<Self, SettingsErrors> {
        Ok(EchoKinds)
    }

    fn evaluate(&self, values: Values<'_>, (): &mut (), out: &mut Out<Rule>) {
        let found = [
            ("boolean", values.boolean.map(|it| it.to_string())),
            ("integer", values.integer.map(|it| it.to_string())),
            ("float", values.float.map(|it| format!("{it:?}"))),
            ("text", values.text.map(str::to_string)),
            ("time", values.time.map(|it| it.0.to_string())),
            ("json", values.json.map(|it| it.0.to_string())),
            ("deep", values.deep.map(|it| it.to_string())),
            ("subject", values.subject.map(str::to_string)),
            ("at", values.at.map(|it| it.0.to_string())),
            ("region", values.region.map(str::to_string)),
        ];
        let mut finding = out.find(Rule::Echo);
        for (name, value) in found {
            if let Some(value) = value {
                finding = finding.with(name, value);
            }
        }
    }
}
