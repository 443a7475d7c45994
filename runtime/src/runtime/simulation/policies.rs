//! The policies that the simulation judges with, and their releases.
//!
//! `limit` looks at one amount and keeps nothing. `count` keeps for each key a number that
//! depends on every event of the key and on their order, so that one that is lost, judged
//! twice or out of its place changes what is found for good. An event can ask for a fault
//! of either.

use std::sync::{Arc, LazyLock};

use crate::column::Kind;
use crate::policy::Release;
use crate::policy::manifest::{Action, Field, Keyed, Manifest, Message, Rule, Severity};
use crate::sandbox::native::{Native, Row, Told, know};
use crate::verdict::FaultKind;

/// What is asked for, in an event's `mark`: `POLICY:FAULT`.
pub(super) const FAULTS: [FaultKind; 5] = [FaultKind::Fuel, FaultKind::Memory, FaultKind::Trap, FaultKind::Output, FaultKind::Undecided];

/// The fault that a mark asks a policy for.
pub(super) fn asked_fault(policy: &str, mark: Option<&str>) -> Option<FaultKind> {
    let name = mark?.strip_prefix(policy)?.strip_prefix(':')?;
    FAULTS.into_iter().find(|fault| fault.name() == name)
}

/// What `count` remembers of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Memo {
    pub events: u32,
    pub trail: u64,
}

impl Memo {
    /// Takes an event in; nothing is remembered any more if its amount is negative. Says
    /// whether something is found.
    pub fn take(memo: &mut Option<Memo>, amount: i64, every: u64) -> bool {
        if amount < 0 {
            return memo.take().is_some();
        }
        let Memo { events, trail } = memo.unwrap_or_default();
        let after = Memo { events: events + 1, trail: trail.wrapping_mul(31).wrapping_add(amount as u64 + 1) };
        *memo = Some(after);
        after.trail.is_multiple_of(every)
    }

    pub fn write(self, version: u32) -> Vec<u8> {
        match version {
            1 => [&self.events.to_le_bytes()[..], &self.trail.to_le_bytes()].concat(),
            // Longer, so that few of them fill what may be in memory.
            _ => format!("{version} {} {}{}", self.events, self.trail, " ".repeat(100)).into_bytes(),
        }
    }

    fn read(version: u32, bytes: &[u8]) -> Option<Memo> {
        if version == 1 {
            let (events, trail) = bytes.split_first_chunk()?;
            return Some(Memo { events: u32::from_le_bytes(*events), trail: u64::from_le_bytes(trail.try_into().ok()?) });
        }
        let text = str::from_utf8(bytes).ok()?;
        let mut parts = text.trim_end().split(' ').map(str::parse::<u64>);
        let mut next = || parts.next()?.ok();
        let (found, events, trail) = (next()?, next()?, next()?);
        (found == u64::from(version)).then_some(Memo { events: events as u32, trail })
    }
}

/// A release, as the model knows it.
pub(super) struct Known {
    pub policy: &'static str,
    pub component: &'static [u8],
    pub settings: &'static str,
    /// The number in its settings.
    pub number: i64,
    pub action: Action,
    /// Of its states; absent for one that has none.
    pub version: Option<u32>,
    pub migrates_from: &'static [u32],
    pub resets: bool,
    /// As entries have it.
    pub id: LazyLock<String>,
}

macro_rules! known {
    ($($at:literal: $policy:literal $component:literal $settings:literal $number:literal $action:ident $version:expr, $from:expr, $resets:literal;)*) => {
        [$(Known {
            policy: $policy,
            component: $component,
            settings: $settings,
            number: $number,
            action: Action::$action,
            version: $version,
            migrates_from: &$from,
            resets: $resets,
            id: LazyLock::new(|| KNOWN[$at].id()),
        }),*]
    };
}

/// All releases. Those of `count` differ in what becomes of states at a swap.
pub(super) static KNOWN: [Known; 8] = known! {
    0: "limit" b"native limit 1" "{\"above\":60}" 60 Deny None, [], false;
    1: "limit" b"native limit 1" "{\"above\":30}" 30 Deny None, [], false;
    2: "limit" b"native limit 2" "{\"above\":60}" 60 Flag None, [], false;
    3: "count" b"native count 1" "{\"every\":3}" 3 Flag Some(1), [], false;
    4: "count" b"native count 1 again" "{\"every\":4}" 4 Deny Some(1), [], false;
    5: "count" b"native count 2" "{\"every\":3}" 3 Flag Some(2), [1], false;
    6: "count" b"native count 3" "{\"every\":2}" 2 Flag Some(3), [2], true;
    7: "count" b"native count 2 again" "{\"every\":5}" 5 Deny Some(2), [1, 3], false;
};

impl Known {
    fn id(&self) -> String {
        Release::new(self.component, self.settings.as_bytes(), Vec::new(), self.manifest()).id
    }

    fn manifest(&self) -> Manifest {
        let field = |pointer: &str, kind, required| Field {
            pointer: pointer.into(),
            kind,
            required,
            purpose: "the simulation looks at it".into(),
            form: Default::default(),
        };
        let mut fields = vec![field("/data/amount", Kind::Integer, true), field("/data/mark", Kind::Text, false)];
        let mut events = vec!["sim.order".to_string()];
        match self.version {
            Some(_) => fields.push(field("/data/who", Kind::Text, true)),
            None => events.push("sim.payment".into()),
        }
        let keyed = self.version.map(|state_version| Keyed {
            key: vec![2],
            state_version,
            migrates_from: self.migrates_from.to_vec(),
            resets: self.resets,
            timers: false,
        });
        let rule = Rule {
            id: "found".into(),
            action: self.action,
            severity: Severity::Low,
            legal_basis: "article 1".into(),
            messages: vec![Message { language: "en".into(), text: "found".into() }],
        };
        Manifest {
            name: self.policy.into(),
            version: "1.0.0".into(),
            summary: "A policy of the simulation.".into(),
            events,
            fields,
            keyed,
            rules: vec![rule],
            lists: Vec::new(),
            settings_schema: "{}".into(),
        }
    }
}

/// The code behind a component's bytes.
struct Code(&'static Known);

impl Native for Code {
    fn component(&self) -> &[u8] {
        self.0.component
    }

    fn manifest(&self) -> Manifest {
        self.0.manifest()
    }

    fn judge(&self, settings: &str, row: &Row<'_>, state: &mut Option<Vec<u8>>) -> Told {
        let number: i64 = settings.chars().filter(char::is_ascii_digit).collect::<String>().parse().expect("a number in the settings");
        let amount = row.integer(0).expect("a required field");
        let found = match self.0.version {
            None => amount > number,
            Some(version) => {
                let mut memo = state.as_deref().map(|bytes| Memo::read(version, bytes).expect("a state of this version"));
                let found = Memo::take(&mut memo, amount, number as u64);
                *state = memo.map(|memo| memo.write(version));
                found
            }
        };
        match asked_fault(self.0.policy, row.text(1)) {
            None => Told::Answer { rules: if found { vec![0] } else { Vec::new() }, timer: None },
            Some(FaultKind::Undecided) => Told::Undecided,
            Some(kind) => Told::Fails(kind),
        }
    }

    fn wake(&self, _: i64, _: &mut Option<Vec<u8>>) -> Told {
        Told::Answer { rules: Vec::new(), timer: None }
    }

    fn migrate(&self, from: u32, state: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let memo = Memo::read(from, state).ok_or("not a state of that version")?;
        Ok(self.0.version.map(|version| memo.write(version)))
    }
}

/// From now on they can be installed.
pub(super) fn register() {
    know(|| {
        let mut codes: Vec<Arc<dyn Native>> = Vec::new();
        for known in &KNOWN {
            if codes.iter().all(|code| code.component() != known.component) {
                codes.push(Arc::new(Code(known)));
            }
        }
        codes
    });
}
