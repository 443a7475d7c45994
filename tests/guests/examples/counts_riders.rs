//! Counts the rides of each rider without knowing who the rider is: a key that is a
//! pseudonym.

use ephor_sdk::prelude::*;

#[derive(Fields)]
struct Ride<'a> {
    #[field("/data/rider", purpose = "Whose rides are counted", form = pseudonym)]
    rider: &'a str,
    #[field("/data/payer", purpose = "Whose rides are counted", form = pseudonym)]
    payer: Option<&'a str>,
    #[field("/data/friend", purpose = "To tell that this is another purpose", form = pseudonym)]
    friend: Option<&'a str>,
}

#[derive(Rules, Clone, Copy)]
enum Rule {
    #[rule(id = "counted", action = deny, severity = low, legal_basis = "None: this policy is for tests", en = "Ride {count} of {rider}.")]
    Counted,
}

#[settings]
struct Nothing {}

#[state]
struct Count {
    rides: u64,
}

struct CountsRiders;

#[policy(
    name = "counts-riders",
    summary = "Counts the rides of each rider",
    events = ["mobility.ride"],
    key = ["/data/rider"],
    state_version = 1
)]
impl Policy for CountsRiders {
    type Fields<'a> = Ride<'a>;
    type Settings = Nothing;
    type State = Count;
    type Rule = Rule;

    fn configure(_: Nothing) -> Result<Self, SettingsErrors> {
        Ok(CountsRiders)
    }

    fn evaluate(&self, ride: Ride<'_>, count: &mut Count, out: &mut Out<Rule>) {
        count.rides += 1;
        let mut finding = out.find(Rule::Counted).with("count", count.rides).with("rider", ride.rider);
        if let Some(payer) = ride.payer {
            finding = finding.with("payer", payer);
        }
        if let Some(friend) = ride.friend {
            let _ = finding.with("friend", friend);
        }
    }
}
