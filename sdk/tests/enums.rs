//! Fields of an enum over texts, and what becomes of texts that the enum does not know.

use ephor_sdk::prelude::*;
use ephor_sdk::serde_json::{Value, json};
use ephor_sdk::testing::{Judged, Policy as Trial};
use ephor_sdk::wit::ephor::policy::manifest::Kind;

#[derive(FieldEnum, Clone, Copy, PartialEq)]
enum State {
    #[value("available")]
    Available,
    #[value("on_trip")]
    OnTrip,
}

#[derive(FieldEnum, Clone, Copy)]
enum Propulsion {
    #[value("electric")]
    Electric,
    #[other]
    Other,
}

#[derive(Fields)]
struct Vehicle<'a> {
    #[field("/data/id", purpose = "count by vehicle")]
    id: &'a str,
    #[field("/data/state", purpose = "tell riding from standing")]
    state: State,
    #[field("/data/before", purpose = "tell what it was before")]
    before: Option<State>,
    #[field("/data/propulsion", purpose = "leave out what has no motor")]
    propulsion: Option<Propulsion>,
}

#[settings]
struct Settings {}

#[state]
struct Seen {
    times: u64,
}

#[derive(Rules, Clone, Copy)]
enum Rule {
    #[rule(id = "rides", action = flag, severity = low, legal_basis = "none", en = "{id} rides")]
    Rides,
}

struct Rides;

#[policy(name = "rides", summary = "Flags rides.", events = ["*"], key = ["/data/id"], state_version = 1)]
impl Policy for Rides {
    type Fields<'a> = Vehicle<'a>;
    type Settings = Settings;
    type State = Seen;
    type Rule = Rule;

    fn configure(_: Settings) -> Result<Self, SettingsErrors> {
        Ok(Self)
    }

    fn evaluate(&self, vehicle: Vehicle<'_>, seen: &mut Seen, out: &mut Out<Rule>) {
        seen.times += 1;
        if vehicle.state == State::OnTrip {
            let propulsion = vehicle.propulsion.map_or("none", Propulsion::as_str);
            let before = vehicle.before.map_or("none", State::as_str);
            out.find(Rule::Rides).with("id", vehicle.id).with("state", vehicle.state).with("before", before).with("propulsion", propulsion);
        }
    }
}

fn event(state: &str, more: Value) -> Value {
    let mut event = json!({"type": "x", "source": "/s", "time": "2026-01-01T00:00:00Z", "data": {"id": "v", "state": state}});
    let data = event["data"].as_object_mut().expect("an object");
    data.extend(more.as_object().expect("an object").clone());
    event
}

#[test]
fn the_host_sees_texts() {
    let fields = ephor_sdk::describe::<Rides>().fields;
    let kinds: Vec<_> = fields.iter().map(|field| (field.kind, field.required)).collect();
    assert_eq!(kinds, [(Kind::Text, true), (Kind::Text, true), (Kind::Text, false), (Kind::Text, false)]);
    assert_eq!((State::VALUES, Propulsion::VALUES), (&["available", "on_trip"][..], &["electric"][..]));
}

#[test]
fn what_the_enum_does_not_know_is_undecided() {
    let mut policy = Trial::<Rides>::new("{}").expect("no settings");
    let judged = policy.judge(&[
        event("available", json!({})),
        event("on_trip", json!({"before": "available", "propulsion": "electric"})),
        event("on_trip", json!({"before": null, "propulsion": "steam"})),
        event("flying", json!({})),
        event("on_trip", json!({"before": ""})),
        event("on_trip", json!({"before": 7})),
        event("On_trip", json!({"id": "another"})),
    ]);
    let undecided = |reason: &str| Judged::Undecided(reason.to_owned());
    assert_eq!(judged[0], Judged::Findings(Vec::new()));
    for (judged, expected) in [(&judged[1], ["available", "electric"]), (&judged[2], ["none", "other"])] {
        let evidence = &judged.findings()[0].evidence;
        assert_eq!([evidence["before"].as_str(), evidence["propulsion"].as_str()], expected);
        assert_eq!(evidence["state"], "on_trip");
    }
    assert_eq!(judged[3], undecided("/data/state: expected available, on_trip, found \"flying\""));
    assert_eq!(judged[4], undecided("/data/before: expected available, on_trip, found \"\""));
    assert_eq!(judged[5], Judged::Unreadable("/data/before".to_owned()));
    assert_eq!(judged[6], undecided("/data/state: expected available, on_trip, found \"On_trip\""));
    // Rows that were not judged left no trace.
    assert_eq!(policy.state(&["v".into()]).times, 3);
    assert!(policy.encoded_state(&["another".into()]).is_none());
}
