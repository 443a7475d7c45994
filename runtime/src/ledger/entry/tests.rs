use std::fmt;

use proptest::prelude::*;

use super::fields::{Text, civil, days, string};
use super::*;
use crate::ledger::limits::Keep;
use crate::verdict::{Action, Decision, FaultKind, Handling, Mode, Severity};

const MODES: [Mode; 3] = [Mode::Shadow, Mode::Canary, Mode::Enforce];

fn clean(sequence: u64) -> EventEntry<'static> {
    let asked = |policy: &'static str| Asked {
        policy: policy.into(),
        release: "0.1.0-ca2949c7d59a".into(),
        digest: Digest::of(policy.as_bytes()),
        lists: Lists::default(),
        mode: Mode::Enforce,
        stale: false,
        columns: Some(Digest::of(b"columns")),
        findings: Vec::new(),
        fault: None,
    };
    EventEntry {
        sequence,
        source: "urn:example:fleet:7".into(),
        id: "6f2c1c1e-3b5a-4a56-9c6e-0d6f2c1c1e3b".into(),
        kind: "org.example.trip.ended".into(),
        subject: Some("vehicle-4711".into()),
        time: Some("2026-11-24T07:59:59Z".into()),
        number: None,
        arrived: Time::from_micros(1_795_507_200_000_000),
        late: false,
        echo: None,
        digest: Digest::of(b"event"),
        verdict: Decision::Allow,
        handling: None,
        without: Vec::new(),
        asked: vec![asked("geofence"), asked("price-fairness")],
    }
}

fn line(entry: &EventEntry<'_>) -> String {
    whole(&Entry::Event(entry.clone()))
}

fn whole(entry: &Entry<'_>) -> String {
    let mut out = Vec::new();
    entry.write(&mut out).expect("short enough");
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn an_entry_has_its_published_form() {
    let mut entry = clean(1);
    entry.asked.truncate(1);
    entry.verdict = Decision::Deny;
    entry.asked[0].findings.push(Finding {
        rule: "outside".into(),
        action: Action::Deny,
        severity: Severity::High,
        message: "ended \"outside\"".into(),
        evidence: Evidence(vec![("zone".into(), "b".into()), ("at".into(), "1\n2".into())]),
        legal_basis: "§ 3".into(),
    });
    entry.asked[0].fault = Some(Fault { kind: FaultKind::Trap, detail: "unreachable".into() });
    entry.asked[0].lists = Evidence(vec![("streets".into(), "2026-01".into()), ("parks".into(), "7".into())]);
    let expected = format!(
        concat!(
            r#"{{"sequence":1,"source":"urn:example:fleet:7","id":"6f2c1c1e-3b5a-4a56-9c6e-0d6f2c1c1e3b","type":"org.example.trip.ended","#,
            r#""subject":"vehicle-4711","time":"2026-11-24T07:59:59Z","arrived":"2026-11-24T08:00:00.000000Z","digest":"{}","#,
            r#""verdict":"deny","asked":[{{"policy":"geofence","release":"0.1.0-ca2949c7d59a","digest":"{}","lists":{{"streets":"2026-01","parks":"7"}},"#,
            r#""mode":"enforce","columns":"{}","findings":[{{"rule":"outside","action":"deny","severity":"high","message":"ended \"outside\"","#,
            r#""evidence":{{"zone":"b","at":"1\n2"}},"legal_basis":"§ 3"}}],"fault":{{"kind":"trap","detail":"unreachable"}}}}]}}"#
        ),
        Digest::of(b"event").hex(),
        Digest::of(b"geofence").hex(),
        Digest::of(b"columns").hex()
    );
    assert_eq!(line(&entry), expected);
    assert_eq!(Entry::parse_canonical(expected.as_bytes()).expect("an entry"), Entry::Event(entry));
}

#[test]
fn entries_about_something_else_have_their_published_form() {
    let (policy, release, source) = ("geofence".into(), "0.1.0-ca2949c7d59a".into(), "urn:example:fleet:7".into());
    let (due, arrived) = (Time::from_micros(1_795_507_140_000_000), Time::from_micros(1_795_507_200_000_000));
    let (digest, key) = (Digest::of(b"geofence"), Digest::of(b"key"));
    let (mode, verdict) = (Mode::Enforce, Decision::Undetermined);
    let fault = Some(Fault { kind: FaultKind::Trap, detail: "unreachable".into() });
    let timer = TimerEntry {
        echo: None,
        policy,
        release,
        digest,
        lists: Lists::default(),
        mode,
        source,
        key,
        due,
        arrived,
        verdict,
        findings: Vec::new(),
        fault,
    };
    let gap = GapEntry { source: "urn:example:fleet:7".into(), after: 811, before: 815, missing: 3, arrived };
    let expected = format!(
        concat!(
            r#"{{"sequence":2,"timer":{{"policy":"geofence","release":"0.1.0-ca2949c7d59a","digest":"{}","mode":"enforce","#,
            r#""source":"urn:example:fleet:7","key":"{}","due":"2026-11-24T07:59:00.000000Z","arrived":"2026-11-24T08:00:00.000000Z","#,
            r#""verdict":"undetermined","fault":{{"kind":"trap","detail":"unreachable"}}}}}}"#
        ),
        digest.hex(),
        key.hex()
    );
    let (timer, gap) = (Entry::Timer(2, timer), Entry::Gap(3, gap));
    assert_eq!(whole(&timer), expected);
    assert_eq!(
        whole(&gap),
        r#"{"sequence":3,"gap":{"source":"urn:example:fleet:7","after":811,"before":815,"missing":3,"arrived":"2026-11-24T08:00:00.000000Z"}}"#
    );
    let (source, last) = ("urn:example:fleet:7".into(), Some(Time::from_micros(1_795_507_140_000_000)));
    let silence = Entry::Silence(6, SilenceEntry { source, last, heartbeat: 60, noted: arrived });
    assert_eq!(
        whole(&silence),
        r#"{"sequence":6,"silence":{"source":"urn:example:fleet:7","last":"2026-11-24T07:59:00.000000Z","heartbeat":60,"noted":"2026-11-24T08:00:00.000000Z"}}"#
    );
    let never = Entry::Silence(7, SilenceEntry { source: "/s".into(), last: None, heartbeat: 60, noted: arrived });
    assert_eq!(whole(&never), r#"{"sequence":7,"silence":{"source":"/s","heartbeat":60,"noted":"2026-11-24T08:00:00.000000Z"}}"#);
    let change = ChangeEntry {
        what: What::Install,
        policy: "transport-office/geofence".into(),
        release: "0.1.0-ca2949c7d59a".into(),
        digest,
        lists: Evidence(vec![("zones".into(), "2026-11".into())]),
        statement: Some(key),
        mode: Mode::Canary,
        share: Some(500),
        from: Some(due),
        until: Some(arrived),
        replaced: Some("0.0.9-0123456789ab".into()),
        state: Some("kept".into()),
        by: "transport-office".into(),
        reason: Some("a try".into()),
        at: arrived,
    };
    let expected = format!(
        concat!(
            r#"{{"sequence":4,"change":{{"what":"install","policy":"transport-office/geofence","release":"0.1.0-ca2949c7d59a","#,
            r#""digest":"{}","lists":{{"zones":"2026-11"}},"statement":"{}","mode":"canary","share":500,"from":"2026-11-24T07:59:00.000000Z","#,
            r#""until":"2026-11-24T08:00:00.000000Z","replaced":"0.0.9-0123456789ab","state":"kept","by":"transport-office","#,
            r#""reason":"a try","at":"2026-11-24T08:00:00.000000Z"}}}}"#
        ),
        digest.hex(),
        key.hex()
    );
    let (change, start) = (Entry::Change(4, change), Entry::Start(5, StartEntry { version: "0.1.0".into(), at: arrived }));
    assert_eq!(whole(&change), expected);
    assert_eq!(whole(&start), r#"{"sequence":5,"start":{"version":"0.1.0","at":"2026-11-24T08:00:00.000000Z"}}"#);
    for entry in [timer, gap, change, start, silence, never] {
        let text = whole(&entry);
        assert_eq!(Entry::parse_canonical(text.as_bytes()).expect("an entry"), entry);
        for wrong in [
            text.replace("\"sequence\":", "\"timer\":null,\"sequence\":"),
            text.replace("}}", "},\"gap\":null}"),
            text.replace("\"source\"", "\"extra\":1,\"source\"").replace("\"at\"", "\"extra\":1,\"at\""),
            text.replace("\"timer\"", "\"gap\"").replace("\"gap\":{\"source\"", "\"timer\":{\"source\""),
            format!("{},\"source\":\"s\"}}", &text[..text.len() - 1]),
        ] {
            assert!(wrong == text || Entry::parse_canonical(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}

#[test]
fn words_are_those_of_serde() {
    fn same<T: serde::de::DeserializeOwned + PartialEq + fmt::Debug>(value: T, word: &str) {
        assert_eq!(serde_json::from_str::<T>(&format!("\"{word}\"")).expect("known"), value);
    }
    MODES.into_iter().for_each(|one| same(one, one.name()));
    Decision::ALL.into_iter().for_each(|one| same(one, one.name()));
    FaultKind::ALL.into_iter().for_each(|one| same(one, one.name()));
    [Action::Flag, Action::Deny].into_iter().for_each(|one| same(one, one.name()));
    [Severity::Low, Severity::Medium, Severity::High, Severity::Critical].into_iter().for_each(|one| same(one, one.name()));
}

#[test]
fn evidence_is_written_once_per_name() {
    let evidence = Evidence(vec![("a".into(), "1".into()), ("a".into(), "2".into()), ("b".into(), "3".into())]);
    let (rule, message, legal_basis) = ("r".into(), "m".into(), "l".into());
    let finding = Finding { rule, action: Action::Flag, severity: Severity::Low, message, evidence, legal_basis };
    let mut out = Vec::new();
    finding.write(&mut out);
    assert!(String::from_utf8(out).expect("UTF-8").contains(r#""evidence":{"a":"1","b":"3"}"#));
}

#[test]
fn tl_18_an_entry_fits_a_tile_or_is_not_written() {
    let mut entry = clean(5);
    entry.asked.clear();
    entry.id = "".into();
    let rest = line(&entry).len();
    entry.id = "x".repeat(ENTRY_BYTES_MAX - rest).into();
    assert_eq!(line(&entry).len(), ENTRY_BYTES_MAX);
    entry.id = "x".repeat(ENTRY_BYTES_MAX - rest + 1).into();
    let mut out = b"before".to_vec();
    let error = Entry::Event(entry).write(&mut out).expect_err("one byte too long");
    assert_eq!((error.sequence, error.bytes, out.as_slice()), (5, ENTRY_BYTES_MAX + 1, b"before".as_slice()));
}

#[test]
fn what_is_written_otherwise_is_no_entry() {
    let text = line(&clean(1));
    Entry::parse_canonical(text.as_bytes()).expect("an entry");
    let other = [
        text.replace("{\"sequence\":1", "{ \"sequence\":1"),
        text.replace("\"sequence\":1", "\"sequence\":1.0"),
        text.replace("\"sequence\":1", "\"sequence\":01"),
        text.replace("fleet", "fl\\u0065et"),
        text.replace("org.example", "org\\/example"),
        text.replace("\"subject\":\"vehicle-4711\"", "\"subject\":null"),
        text.replace("\"verdict\"", "\"extra\":1,\"verdict\""),
        text.replace("\"verdict\":\"allow\"", "\"verdict\":\"allow\",\"verdict\":\"allow\""),
        text.replace("\"mode\"", "\"findings\":[],\"mode\""),
        text.replace("\"allow\"", "\"Allow\""),
        text.replace(&Digest::of(b"event").hex(), &Digest::of(b"event").hex().to_uppercase()),
        text.replace("2026-11-24T08", "2026-11-24t08"),
        text.replace("08:00:00.000000Z", "07:60:00.000000Z"),
        text.replace("2026-11-24T08", "2026-02-30T08"),
        text.replace("00.000000Z", "00.00000Z"),
        format!("{text} "),
        format!("{text}\n"),
        text[..text.len() - 1].to_string(),
    ];
    for other in other {
        assert_ne!(other, text, "the replacement was made");
        Entry::parse_canonical(other.as_bytes()).expect_err(&other);
    }
    // Another order of members.
    let front = text.find("\"arrived\"").expect("there");
    let swapped = text.replace("\"verdict\":\"allow\",", "").replace("\"arrived\"", "\"verdict\":\"allow\",\"arrived\"");
    Entry::parse(swapped.as_bytes()).expect("the same to serde");
    let error = Entry::parse_canonical(swapped.as_bytes()).expect_err("not to us");
    assert!(matches!(error, EntryError::NotCanonical { at } if at == front + 1), "{error}");
}

#[test]
fn a_line_is_read_without_copies() {
    let text = line(&clean(1));
    let Entry::Event(entry) = Entry::parse(text.as_bytes()).expect("an entry") else { panic!("an event's") };
    assert!(matches!(entry.source.0, Cow::Borrowed(_)) && matches!(entry.asked[0].policy.0, Cow::Borrowed(_)));
}

#[test]
fn times_of_the_calendar() {
    let text = |micros| {
        let mut out = Vec::new();
        Time::from_micros(micros).write(&mut out);
        String::from_utf8(out).expect("ASCII")
    };
    assert_eq!(text(0), "1970-01-01T00:00:00.000000Z");
    assert_eq!(text(951_782_400_000_001), "2000-02-29T00:00:00.000001Z");
    assert_eq!(text(1_795_507_200_123_456), "2026-11-24T08:00:00.123456Z");
    assert_eq!(text(i64::MAX), "9999-12-31T23:59:59.999999Z");
    assert_eq!(text(i64::MIN), "0000-01-01T00:00:00.000000Z");
    assert_eq!(text(-1), "1969-12-31T23:59:59.999999Z");
    assert_eq!(Time::parse("1969-12-31T23:59:59.999999Z"), Some(Time::from_micros(-1)));
    assert_eq!(Time::parse("2026-00-24T08:00:00.000000Z"), None);
    assert_eq!(Time::parse("2026-11-2\u{e9}T08:00:00.000000Z"), None);
}

/// Every string there is: any scalar values, and many that need an escape. Boxed, because
/// what makes an entry has dozens of them: in one piece it would fill a thread's stack.
fn text() -> BoxedStrategy<Text<'static>> {
    prop_oneof![
        any::<String>(),
        prop::collection::vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect()),
        "[\u{0}-\u{22}\\\\/\u{7f}\u{80}\u{2028}]{0,12}",
        "[a-z0-9:-]{0,40}",
    ]
    .prop_map(Text::from)
    .boxed()
}

fn any_digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

/// Members of an object, each name once.
fn unique(count: std::ops::Range<usize>) -> impl Strategy<Value = Evidence<'static>> {
    prop::collection::vec((text(), text()), count).prop_map(|pairs| {
        let mut unique: Vec<(Text<'_>, Text<'_>)> = Vec::new();
        for (name, value) in pairs {
            if unique.iter().all(|(known, _)| *known != name) {
                unique.push((name, value));
            }
        }
        Evidence(unique)
    })
}

fn finding() -> impl Strategy<Value = Finding<'static>> {
    let action = prop::sample::select(vec![Action::Flag, Action::Deny]);
    let severity = prop::sample::select(vec![Severity::Low, Severity::Medium, Severity::High, Severity::Critical]);
    (text(), action, severity, text(), unique(0..4), text()).prop_map(|(rule, action, severity, message, evidence, legal_basis)| Finding {
        rule,
        action,
        severity,
        message,
        evidence,
        legal_basis,
    })
}

fn asked() -> impl Strategy<Value = Asked<'static>> {
    let fault = (prop::sample::select(FaultKind::ALL.to_vec()), text()).prop_map(|(kind, detail)| Fault { kind, detail });
    let mode = prop::sample::select(MODES.to_vec());
    let findings = prop::collection::vec(finding(), 0..3);
    let mode = (mode, any::<bool>());
    let release = (text(), any_digest(), unique(0..3));
    (text(), release, mode, prop::option::of(any_digest()), findings, prop::option::of(fault)).prop_map(
        |(policy, (release, digest, lists), (mode, stale), columns, findings, fault)| Asked {
            policy,
            release,
            digest,
            lists,
            mode,
            stale,
            columns,
            findings,
            fault,
        },
    )
}

fn time() -> impl Strategy<Value = Time> {
    prop_oneof![any::<i64>(), Time::from_micros(i64::MIN).micros()..=Time::from_micros(i64::MAX).micros()].prop_map(Time::from_micros)
}

fn event() -> impl Strategy<Value = EventEntry<'static>> {
    let event = (any::<u64>(), text(), text(), text(), prop::option::of(text()), prop::option::of(text()), prop::option::of(any::<u64>()));
    let verdict = prop::sample::select(Decision::ALL.to_vec());
    let handling = prop::option::of(prop::sample::select(vec![Handling::LetPass, Handling::Hold, Handling::Refuse]));
    let asked = (prop::collection::vec(asked(), 0..3), prop::collection::vec(text(), 0..3));
    (event, (time(), any::<bool>(), prop::option::of(any::<u32>())), any_digest(), verdict, handling, asked).prop_map(
        |((sequence, source, id, kind, subject, time, number), (arrived, late, echo), digest, verdict, handling, (asked, without))| {
            EventEntry { sequence, source, id, kind, subject, time, number, arrived, late, echo, digest, verdict, handling, asked, without }
        },
    )
}

fn timer() -> impl Strategy<Value = Entry<'static>> {
    let echo = prop::option::of(any::<u32>());
    (any::<u64>(), echo, asked(), text(), any_digest(), time(), time(), prop::sample::select(Decision::ALL.to_vec())).prop_map(
        |(sequence, echo, asked, source, key, due, arrived, verdict)| {
            let Asked { policy, release, digest, lists, mode, findings, fault, .. } = asked;
            let timer = TimerEntry { echo, policy, release, digest, lists, mode, source, key, due, arrived, verdict, findings, fault };
            Entry::Timer(sequence, timer)
        },
    )
}

fn entry() -> impl Strategy<Value = Entry<'static>> {
    let gap = (any::<u64>(), text(), any::<u64>(), any::<u64>(), any::<u64>(), time()).prop_map(
        |(sequence, source, after, before, missing, arrived)| Entry::Gap(sequence, GapEntry { source, after, before, missing, arrived }),
    );
    let silence = (any::<u64>(), text(), prop::option::of(time()), any::<u64>(), time())
        .prop_map(|(sequence, source, last, heartbeat, noted)| Entry::Silence(sequence, SilenceEntry { source, last, heartbeat, noted }));
    let start = (any::<u64>(), text(), time()).prop_map(|(sequence, version, at)| Entry::Start(sequence, StartEntry { version, at }));
    let keep = (any::<u64>(), text(), prop::option::of(any::<u64>()), time())
        .prop_map(|(sequence, events, days, at)| Entry::Keep(sequence, KeepEntry { events, days, at }));
    let configuration = (any::<u64>(), prop::collection::vec(text(), 0..3), any::<u64>(), text(), text(), time()).prop_map(
        |(sequence, changed, changes, by, reason, at)| {
            Entry::Configuration(sequence, ConfigurationEntry { changed, changes, by, reason, at })
        },
    );
    prop_oneof![
        3 => event().prop_map(Entry::Event).boxed(),
        1 => timer().boxed(),
        1 => gap.boxed(),
        1 => silence.boxed(),
        1 => change().boxed(),
        1 => start.boxed(),
        1 => keep.boxed(),
        1 => erasure().boxed(),
        1 => configuration.boxed(),
    ]
}

fn erasure() -> impl Strategy<Value = Entry<'static>> {
    let optional = || prop::option::of(text());
    let which = (optional(), optional(), optional(), prop::option::of(any::<u64>()));
    (any::<u64>(), which, text(), optional(), time()).prop_map(|(sequence, (source, id, subject, through), by, reason, at)| {
        Entry::Erasure(sequence, ErasureEntry { source, id, subject, through, by, reason, at })
    })
}

fn change() -> impl Strategy<Value = Entry<'static>> {
    let what = [What::Install, What::Promote, What::Demote, What::Withdraw, What::Remove, What::Stale, What::Stop, What::Fresh];
    let what = (any::<u64>(), prop::sample::select(what.to_vec()), prop::option::of(any::<u64>()));
    let texts = (prop::option::of(text()), prop::option::of(text()), text(), prop::option::of(text()));
    let times = (prop::option::of(time()), prop::option::of(time()), time());
    (what, asked(), prop::option::of(any_digest()), texts, times).prop_map(
        |((sequence, what, share), asked, statement, (replaced, state, by, reason), (from, until, at))| {
            let Asked { policy, release, digest, lists, mode, .. } = asked;
            Entry::Change(
                sequence,
                ChangeEntry { what, policy, release, digest, lists, statement, mode, share, from, until, replaced, state, by, reason, at },
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn writing_and_reading_are_inverse(entry in entry()) {
        let text = whole(&entry);
        prop_assert!(!text.contains('\n'));
        let read = Entry::parse_canonical(text.as_bytes()).expect("an entry");
        prop_assert_eq!(&read, &entry);
        prop_assert_eq!(whole(&read), &*text);
    }

    #[test]
    fn the_front_says_what_the_whole_says(entry in entry()) {
        let text = whole(&entry);
        let front = Identity::read(text.as_bytes()).expect("an entry");
        let expected = match &entry {
            Entry::Event(event) => Some(Identity {
                source: event.source.0.clone(),
                id: event.id.0.clone(),
                time: event.time.as_ref().map(|time| time.0.clone()),
                number: event.number,
                arrived: event.arrived,
                echo: event.echo.map(u64::from),
                digest: event.digest,
            }),
            _ => None,
        };
        prop_assert_eq!(front, expected);
        let echoed = matches!(&entry, Entry::Timer(_, timer) if timer.echo.is_some());
        prop_assert_eq!(TimerEntry::has_echo(text.as_bytes()), echoed);
        let expected = if let Entry::Silence(_, silence) = &entry { Some(silence.clone()) } else { None };
        prop_assert_eq!(SilenceEntry::read(text.as_bytes()).expect("an entry"), expected);
        let expected = if let Entry::Change(_, change) = &entry { Some(change.clone()) } else { None };
        prop_assert_eq!(ChangeEntry::read(text.as_bytes()).expect("an entry"), expected);
        let content = AboutContent::read(text.as_bytes()).expect("an entry").map(|content| match content {
            AboutContent::Keep(keep) => Entry::Keep(entry.sequence(), keep),
            AboutContent::Erasure(erasure) => Entry::Erasure(entry.sequence(), erasure),
        });
        let is_of_content = matches!(entry, Entry::Keep(..) | Entry::Erasure(..));
        prop_assert_eq!(content, is_of_content.then(|| entry.clone()));
    }

    #[test]
    fn an_entry_at_another_place_is_the_same_but_for_that(entry in entry(), sequence in any::<u64>()) {
        let moved = entry.clone().at(sequence);
        prop_assert_eq!((moved.sequence(), moved.subject()), (sequence, entry.subject()));
        prop_assert_eq!(moved.at(entry.sequence()), entry);
    }

    /// One changed byte gives another entry, or none: never the same one.
    #[test]
    fn no_two_lines_are_one_entry(entry in entry(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let text = whole(&entry);
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        if let Ok(other) = Entry::parse_canonical(&bytes) {
            prop_assert_ne!(other, entry);
        }
    }

    #[test]
    fn strings_are_escaped_as_serde_escapes_them(text in text()) {
        let mut out = Vec::new();
        string(&mut out, &text);
        prop_assert_eq!(String::from_utf8(out).expect("UTF-8"), serde_json::to_string(&*text).expect("JSON"));
    }

    #[test]
    fn every_day_is_its_own(days_since in -719_528i64..2_932_897) {
        let (year, month, day) = civil(days_since);
        prop_assert!((1..=12).contains(&month) && (1..=31).contains(&day) && (0..=9999).contains(&year));
        prop_assert_eq!(days(year, month, day), days_since);
    }
}

#[test]
fn every_character_comes_back() {
    let all: Vec<char> = (0..=char::MAX as u32).filter_map(char::from_u32).collect();
    for chunk in all.chunks(4_096) {
        let mut entry = clean(1);
        entry.id = chunk.iter().collect::<String>().into();
        let text = line(&entry);
        assert_eq!(Entry::parse_canonical(text.as_bytes()).expect("an entry"), Entry::Event(entry));
    }
}

#[test]
fn an_erasure_is_about_what_it_names_and_nothing_else() {
    let erasure = |source: Option<&str>, id: Option<&str>, subject: Option<&str>, through| {
        let text = |text: Option<&str>| text.map(|text| Text::from(text.to_string()));
        let at = Time::from_micros(0);
        ErasureEntry { source: text(source), id: text(id), subject: text(subject), through, by: "b".into(), reason: None, at }
    };
    let (by_subject, by_id) = (erasure(None, None, Some("a"), None), erasure(Some("/s"), Some("1"), None, None));
    let (both, over) = (erasure(Some("/s"), None, Some("a"), None), erasure(None, None, None, Some(5)));
    for (sequence, source, id, subject, expected) in [
        (1, "/s", "1", Some("a"), [true, true, true, true]),
        (5, "/s", "2", None, [false, false, false, true]),
        (6, "/t", "1", Some("a"), [true, false, false, false]),
        (6, "/s", "1", Some("b"), [false, true, false, false]),
    ] {
        let covers = [&by_subject, &by_id, &both, &over].map(|erasure| erasure.covers(sequence, source, id, subject));
        assert_eq!(covers, expected, "{sequence} {source} {id} {subject:?}");
    }
    assert_eq!([&by_subject, &by_id, &both, &over].map(ErasureEntry::is_expiry), [false, false, false, true]);
    let keeps = [Keep::Digest, Keep::Full, Keep::Days(30)].map(|keep| KeepEntry::new(keep, 0).keep());
    assert_eq!(keeps, [Some(Keep::Digest), Some(Keep::Full), Some(Keep::Days(30))]);
    assert_eq!(KeepEntry { days: None, ..KeepEntry::new(Keep::Days(30), 0) }.keep(), None);
}
