//! When timers fire, what a key that is woken can do, and which traces a row
//! leaves that is undecided.

use ephor_sdk::prelude::*;
use ephor_sdk::serde_json::{Value, json};
use ephor_sdk::testing::{Judged, Policy as Trial, Wakes};

const HOUR: i64 = 3_600_000_000;

#[derive(Fields)]
struct Report<'a> {
    #[field("/data/machine", purpose = "wait for the next report of the machine")]
    _machine: &'a str,
    #[field("/data/status", purpose = "know what to do")]
    status: Option<&'a str>,
    #[field("/time", purpose = "know when to wake up")]
    time: Time,
}

#[settings]
struct Settings {}

#[state]
struct Machine {
    reports: u64,
    wakes: u64,
    storm: u64,
}

#[derive(Rules, Clone, Copy)]
enum Rule {
    #[rule(id = "silent", action = flag, severity = low, legal_basis = "Act, section 1", en = "silent after {reports} reports")]
    Silent,
}

struct Heartbeat;

#[policy(name = "heartbeat", summary = "Flags machines that do not report within two hours.", events = ["machine.*"],
    key = ["/data/machine"], state_version = 2, timers, migrates_from = [1, 7], resets)]
impl Policy for Heartbeat {
    type Fields<'a> = Report<'a>;
    type Settings = Settings;
    type State = Machine;
    type Rule = Rule;

    fn configure(_: Settings) -> Result<Self, SettingsErrors> {
        Ok(Self)
    }

    fn evaluate(&self, report: Report<'_>, machine: &mut Machine, out: &mut Out<Rule>) {
        machine.reports += 1;
        let later = Time(report.time.0 + 2 * HOUR);
        out.wake_at(later);
        match report.status {
            Some("off") => out.wake_never(),
            Some("storm") => machine.storm = 100,
            Some("slow") => {
                out.wake_never();
                out.wake_at(Time(later.0 + HOUR));
            }
            Some("quiet") => {}
            Some("garbled") => {
                out.find(Rule::Silent);
                out.undecided("garbled");
            }
            Some("seen") => {
                out.find(Rule::Silent).with("reports", machine.reports).with("wakes", machine.wakes);
            }
            _ => {}
        }
    }

    fn wake(&self, at: Time, machine: &mut Machine, out: &mut Out<Rule>) {
        machine.wakes += 1;
        if machine.storm > 0 {
            machine.storm -= 1;
            out.wake_at(at);
        }
        if machine.reports == 13 {
            out.wake_at(at);
            return out.undecided("thirteen");
        }
        out.find(Rule::Silent).with("reports", machine.reports).with("at", at);
    }

    fn migrate(from: u32, state: &[u8]) -> Result<Option<Machine>, String> {
        let text = std::str::from_utf8(state).map_err(|error| error.to_string())?;
        match (from, text) {
            (_, "gone") => Ok(None),
            (7, "empty") => Ok(Some(Machine::default())),
            _ => Ok(Some(Machine { reports: text.parse().map_err(|_| format!("`{text}` is no count"))?, ..Machine::default() })),
        }
    }
}

fn trial() -> Trial<Heartbeat> {
    Trial::new("{}").expect("the settings are good")
}

fn report(source: &str, machine: &str, time: &str, status: &str) -> Value {
    json!({"specversion": "1.0", "id": time, "source": source, "type": "machine.report", "time": format!("2026-01-01T{time}Z"),
        "data": {"machine": machine, "status": status}})
}

/// An event that the policy is not asked about.
fn tick(source: &str, time: &str) -> Value {
    json!({"specversion": "1.0", "id": time, "source": source, "type": "tick", "time": format!("2026-01-01T{time}Z")})
}

/// The wakes as `before machine at`, with the events in one batch and one by one.
fn woken(lateness: u32, events: &[Value]) -> Vec<String> {
    let shown = |trial: &mut Trial<Heartbeat>| -> Vec<_> {
        let woken = trial.take_woken().into_iter();
        woken.map(|it| format!("{} {} {}", it.before, it.key[0].as_str().unwrap_or("?"), &it.at.to_string()[11..])).collect()
    };
    let mut together = trial().with_lateness(lateness);
    together.judge(events);
    let mut apart = trial().with_lateness(lateness);
    for event in events {
        apart.judge(std::slice::from_ref(event));
    }
    let woken = shown(&mut together);
    assert_eq!(woken, shown(&mut apart), "in one batch and apart");
    woken
}

#[test]
fn a_timer_fires_before_the_event_that_takes_the_watermark_to_it() {
    let events = [
        report("/a", "m", "00:00:00", ""),
        tick("/a", "02:00:00"),
        tick("/a", "02:00:59.999999"),
        tick("/a", "01:00:00"),
        tick("/a", "02:01:00"),
        tick("/a", "09:00:00"),
    ];
    assert_eq!(woken(60, &events), ["4 m 02:00:00Z"]);
    assert_eq!(woken(0, &events), ["1 m 02:00:00Z"]);
    assert_eq!(woken(5 * 3_600, &events), ["5 m 02:00:00Z"]);
}

#[test]
fn a_timer_fires_before_the_next_report_of_its_key_that_is_not_before_it() {
    let mut events = vec![report("/a", "m", "00:00:00", ""), report("/a", "m", "02:00:00", "")];
    assert_eq!(woken(60, &events), ["1 m 02:00:00Z"]);
    // A report in time comes first, and moves the timer.
    events.insert(1, report("/a", "m", "01:59:59", ""));
    assert_eq!(woken(60, &events), Vec::<String>::new());
    // One that is too late for its own time fires nothing by itself.
    events.push(report("/a", "m", "00:30:00", ""));
    assert_eq!(woken(60, &events), Vec::<String>::new());
}

#[test]
fn a_timer_belongs_to_the_source_of_its_keys_latest_event() {
    let first = report("/a", "m", "00:00:00", "");
    let others = [tick("/b", "23:00:00"), report("/a", "n", "01:00:00", "")];
    assert_eq!(woken(60, &[first.clone(), others[0].clone(), others[1].clone()]), Vec::<String>::new());

    // The latest event came by another source, whose mark is far ahead already;
    // the next one of that source finds it so, the late time of its own notwithstanding.
    let moved = [tick("/b", "23:00:00"), first, report("/b", "m", "00:10:00", ""), tick("/a", "23:00:00"), tick("/b", "00:00:01")];
    assert_eq!(woken(60, &moved), ["4 m 02:10:00Z"]);
}

#[test]
fn a_later_wish_replaces_the_earlier() {
    let after = |status: &str| woken(60, &[report("/a", "m", "00:00:00", status), tick("/a", "02:01:00"), tick("/a", "03:01:00")]);
    assert_eq!(after(""), ["1 m 02:00:00Z"]);
    assert_eq!(after("off"), Vec::<String>::new());
    assert_eq!(after("slow"), ["2 m 03:00:00Z"]);

    let mut trial = trial();
    trial.judge(&[report("/a", "m", "00:00:00", "")]);
    assert_eq!(trial.timer(&["m".into()]).expect("a timer").to_string(), "2026-01-01T02:00:00Z");
    assert_eq!(trial.timer(&["n".into()]), None);
    trial.judge(&[report("/a", "m", "00:00:01", "off")]);
    assert_eq!(trial.timer(&["m".into()]), None);
}

#[test]
fn timers_of_one_place_fire_by_time() {
    let events = [
        report("/a", "x", "00:02:00", ""),
        report("/a", "z", "00:01:00", ""),
        report("/a", "y", "00:01:00", ""),
        tick("/a", "05:00:00"),
        report("/a", "x", "09:00:00", ""),
    ];
    assert_eq!(woken(60, &events), ["3 y 02:01:00Z", "3 z 02:01:00Z", "3 x 02:02:00Z"]);
}

#[test]
fn a_key_is_woken_again_in_the_same_place_but_not_without_end() {
    let events = [report("/a", "m", "00:00:00", "storm"), tick("/a", "05:00:00"), tick("/a", "05:00:00"), tick("/a", "05:00:00")];
    let woken = woken(60, &events);
    assert_eq!(woken.iter().filter(|it| it.starts_with("1 ")).count(), 64);
    assert_eq!(woken.iter().filter(|it| it.starts_with("2 ")).count(), 101 - 64);
    assert_eq!(woken.len(), 101);
}

#[test]
fn a_woken_key_says_what_its_state_knows() {
    let mut trial = trial();
    let judged = trial.judge(&[report("/a", "m", "00:00:00", ""), report("/a", "m", "03:00:00", "seen")]);
    let woken = trial.take_woken();
    assert_eq!((woken.len(), woken[0].before, &woken[0].key), (1, 1, &vec![json!("m")]));
    let evidence = json!(woken[0].judged.findings()[0].evidence);
    assert_eq!(evidence, json!({"reports": "1", "at": "2026-01-01T02:00:00Z"}));
    // The event after it has the state that the wake left.
    assert_eq!(json!(judged[1].findings()[0].evidence), json!({"reports": "2", "wakes": "1"}));
    assert!(trial.take_woken().is_empty());
}

#[test]
fn an_undecided_wake_leaves_nothing_behind() {
    let mut trial = trial();
    let mut events = vec![report("/a", "m", "00:00:00", ""); 13];
    trial.judge(&events);
    let before = trial.encoded_state(&["m".into()]).map(<[u8]>::to_vec);
    events = vec![tick("/a", "05:00:00"), tick("/a", "05:00:00")];
    trial.judge(&events);
    let woken = trial.take_woken();
    assert_eq!(woken.iter().map(|it| &it.judged).collect::<Vec<_>>(), [&Judged::Undecided("thirteen".into())]);
    assert_eq!(trial.encoded_state(&["m".into()]).map(<[u8]>::to_vec), before);
    assert_eq!(trial.timer(&["m".into()]), None, "it has fired, and the wish for another one does not count");
}

#[test]
fn an_undecided_row_leaves_nothing_behind() {
    let reports = |statuses: &[&str]| -> Vec<Value> {
        let reports = statuses.iter().enumerate();
        reports.map(|(at, status)| report("/a", if at % 3 == 2 { "n" } else { "m" }, &format!("00:{at:02}:00"), status)).collect()
    };
    // Of machine m: garbled, two good ones, garbled twice, one good one.
    let statuses = ["garbled", "", "garbled", "quiet", "garbled", "garbled", "garbled", "seen", "garbled"];
    let mut garbled = trial();
    let judged = garbled.judge(&reports(&statuses));
    let undecided: Vec<_> = judged.iter().map(|it| matches!(it, Judged::Undecided(_))).collect();
    assert_eq!(undecided, statuses.map(|it| it == "garbled"));
    assert_eq!(judged[7].findings()[0].evidence["reports"], "3");

    let mut without = trial();
    let good: Vec<_> = reports(&statuses).into_iter().filter(|it| it["data"]["status"] != "garbled").collect();
    without.judge(&good);
    let machine = ["m".into()];
    assert!(without.encoded_state(&machine).is_some());
    assert_eq!(garbled.encoded_state(&machine), without.encoded_state(&machine));
    assert_eq!(garbled.timer(&machine), without.timer(&machine));
    assert_eq!(garbled.encoded_state(&["n".into()]), None);
    assert_eq!(garbled.timer(&["n".into()]), None);
}

#[test]
fn a_state_that_cannot_be_read_is_undecided_and_stays() {
    let wakes = Wakes { at: vec![0, 0], states: vec![Some(b"\xff".to_vec()), None] };
    let outcome = trial().wake_batch(&wakes);
    assert!(outcome.undecided[0].reason.starts_with("the state of the key cannot be read"), "{outcome:?}");
    assert_eq!(outcome.findings.iter().map(|it| it.row).collect::<Vec<_>>(), [1]);
    assert_eq!(outcome.states.iter().map(|it| it.key).collect::<Vec<_>>(), [1]);
}

#[test]
fn the_manifest_says_what_becomes_of_states_and_timers() {
    let keyed = ephor_sdk::describe::<Heartbeat>().keyed.expect("the policy has a key");
    assert_eq!((keyed.state_version, keyed.migrates_from, keyed.resets, keyed.timers), (2, vec![1, 7], true, true));
}

#[test]
fn states_are_migrated_all_or_none() {
    let states = |states: &[&str]| states.iter().map(|it| it.as_bytes().to_vec()).collect::<Vec<_>>();
    let migrated = ephor_sdk::migrate::<Heartbeat>(1, &states(&["3", "gone"])).expect("the states are good");
    let mut counted = trial();
    counted.judge(&[report("/a", "m", "00:00:00", ""), report("/a", "m", "00:00:00", ""), report("/a", "m", "00:00:00", "")]);
    assert_eq!(migrated, [counted.encoded_state(&["m".into()]).map(<[u8]>::to_vec), None]);
    assert_eq!(ephor_sdk::migrate::<Heartbeat>(7, &states(&["empty"])), Ok(vec![None]));
    let refused = ephor_sdk::migrate::<Heartbeat>(1, &states(&["3", "x"]));
    assert_eq!(refused, Err("state 1, of version 1: `x` is no count".into()));
    assert_eq!(ephor_sdk::migrate::<Heartbeat>(3, &[]), Err("heartbeat does not read states of version 3".into()));
}

/// Asks to be woken, but does not say so in its manifest.
mod silent {
    use super::*;

    #[derive(Default)]
    struct Hidden;

    #[policy(name = "hidden", summary = "Asks to be woken in secret.", events = ["*"], key = ["/data/machine"], state_version = 1)]
    impl Policy for Hidden {
        type Fields<'a> = Report<'a>;
        type Settings = Settings;
        type State = Machine;
        type Rule = Rule;

        fn configure(_: Settings) -> Result<Self, SettingsErrors> {
            Ok(Self)
        }

        fn evaluate(&self, report: Report<'_>, _: &mut Machine, out: &mut Out<Rule>) {
            out.wake_at(report.time);
        }
    }

    #[test]
    #[should_panic(expected = "needs `timers` in `#[policy]`")]
    fn timers_are_declared() {
        let mut trial = Trial::<Hidden>::new("{}").expect("the settings are good");
        trial.judge(&[report("/a", "m", "00:00:00", "")]);
    }

    #[test]
    fn without_a_migration_no_version_is_read() {
        assert_eq!(ephor_sdk::migrate::<Hidden>(1, &[]), Err("hidden does not read states of version 1".into()));
    }
}
