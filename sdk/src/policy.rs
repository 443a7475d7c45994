use std::borrow::Cow;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::declaration::Declared;
use crate::evidence::{Out, Said};
use crate::fields::Fields;
use crate::log;
use crate::reference::{self, Ask};
use crate::rule::Rules;
use crate::settings::{self, SettingsErrors};
use crate::state::State;
use crate::time::Time;
use crate::wit::ephor::policy::{evaluation, manifest};

/// A policy: what it sees, what it can say, and how it comes to say it.
///
/// It has no clock, randomness, network, file, or memory besides its state:
/// the same settings, fields and state must give the same findings.
pub trait Policy: Declared + Sized + 'static {
    /// What it sees of an event: a struct with `#[derive(Fields)]`.
    type Fields<'batch>: Fields<'batch>;
    /// What its publisher decides: a type with `#[settings]`.
    type Settings: DeserializeOwned + JsonSchema;
    /// What it remembers of a key: a struct with `#[state]`, or `()`.
    type State: State;
    /// What it can find: an enum with `#[derive(Rules)]`.
    type Rule: Rules;

    /// Takes the settings and prepares whatever judging needs. What it costs
    /// is paid once for each release.
    ///
    /// # Errors
    ///
    /// Every problem that a JSON Schema cannot express.
    fn configure(settings: Self::Settings) -> Result<Self, SettingsErrors>;

    /// Says what [`Self::evaluate`] is going to look up for one event, so that one call
    /// of the host does it for a whole batch. What is not named here is looked up in a
    /// call of its own; it makes no other difference. For policies with `lists` in
    /// `#[policy]`.
    fn look_up(&self, fields: &Self::Fields<'_>, ask: &mut Ask) {
        let _ = (fields, ask);
    }

    /// Judges one event. `state` is what the event before it of the same key left.
    fn evaluate(&self, fields: Self::Fields<'_>, state: &mut Self::State, out: &mut Out<Self::Rule>);

    /// Says what follows from the event time `at` having come, for which the
    /// key asked with [`Out::wake_at`]. There is no event to look at: what is to
    /// be said must be in the state. The timer is none any more; ask for
    /// another one if there has to be one.
    fn wake(&self, at: Time, state: &mut Self::State, out: &mut Out<Self::Rule>) {
        let _ = (at, state, out);
    }

    /// Makes a state out of one that a release with another `state_version`
    /// left; `None` if the key is to have none. Called for the versions in
    /// `migrates_from` of `#[policy]`.
    ///
    /// # Errors
    ///
    /// Why the state cannot be taken over. The whole release is then refused,
    /// and the one in force keeps all its states.
    fn migrate(from: u32, state: &[u8]) -> Result<Option<Self::State>, String> {
        let _ = state;
        Err(format!("this policy does not read states of version {from}"))
    }
}

/// The manifest of a policy.
#[must_use]
pub fn describe<P: Policy>() -> manifest::Manifest {
    let declaration = P::DECLARATION;
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let fields = <P::Fields<'static> as Fields<'static>>::FIELDS;
    manifest::Manifest {
        name: declaration.name.to_owned(),
        version: declaration.version.to_owned(),
        summary: declaration.summary.to_owned(),
        events: texts(declaration.events),
        fields: fields
            .iter()
            .map(|field| manifest::Field {
                pointer: field.pointer.to_owned(),
                kind: field.kind,
                required: field.required,
                purpose: field.purpose.to_owned(),
                form: field.form,
            })
            .collect(),
        keyed: P::State::KEYED.then(|| manifest::Keyed {
            key: declaration.key.to_vec(),
            state_version: declaration.state_version,
            migrates_from: declaration.migrates_from.to_vec(),
            resets: declaration.resets,
            timers: declaration.timers,
        }),
        rules: P::Rule::RULES
            .iter()
            .map(|rule| manifest::Rule {
                id: rule.id.to_owned(),
                action: rule.action,
                severity: rule.severity,
                legal_basis: rule.legal_basis.to_owned(),
                messages: rule
                    .messages
                    .iter()
                    .map(|&(language, text)| manifest::Message { language: language.to_owned(), text: text.to_owned() })
                    .collect(),
            })
            .collect(),
        lists: texts(declaration.lists),
        settings_schema: settings::schema::<P::Settings>(),
    }
}

/// Makes a policy from its settings as a JSON document.
///
/// # Errors
///
/// If the document is not what the policy's settings are, or the policy refuses them.
pub fn configure<P: Policy>(document: &str) -> Result<P, SettingsErrors> {
    P::configure(settings::read(document)?)
}

/// Judges a batch, row by row.
///
/// A row whose state cannot be read is undecided, and the state stays as it is; so is
/// one with an unknown text in a field of an enum.
///
/// # Panics
///
/// If the batch is not as the contract says, if the policy panics, or if it asks
/// to be woken without `timers` in `#[policy]`.
pub fn evaluate<P: Policy>(policy: &P, batch: &evaluation::Batch) -> evaluation::Outcome {
    let columns = <P::Fields<'_> as Fields<'_>>::columns(&batch.columns);
    let has_lists = !P::DECLARATION.lists.is_empty();
    let _answers = has_lists.then(|| {
        let mut ask = Ask::default();
        for row in 0..batch.rows as usize {
            if P::Fields::unknown(&columns, row).is_none() {
                ask.turn_to(row);
                policy.look_up(&Fields::row(&columns, row), &mut ask);
            }
        }
        ask.answered(batch.rows as usize)
    });
    let turn_to = |row: u32, out: &mut Out<P::Rule>| {
        out.turn_to(row);
        if has_lists {
            reference::turn_to(row);
        }
    };
    let evaluate = |row: u32, state: &mut P::State, out: &mut Out<P::Rule>| {
        turn_to(row, out);
        match P::Fields::unknown(&columns, row as usize) {
            None => policy.evaluate(Fields::row(&columns, row as usize), state, out),
            Some(unknown) => out.undecided(unknown),
        }
    };
    let mut out = Out::new();
    let mut states = Vec::new();
    if P::State::KEYED {
        let keys = batch.keys.as_ref().expect("a batch for a policy with state has keys");
        let mut now: Vec<_> = keys.states.iter().map(|state| Memory::<P::State>::of(state.as_deref())).collect();
        for row in 0..batch.rows {
            let key = keys.of_row[row as usize];
            now[key as usize].judge(row, &mut out, &evaluate, |row| keys.of_row[row as usize] == key);
        }
        states = changed(&keys.states, now);
    } else {
        let mut none = P::State::default();
        for row in 0..batch.rows {
            evaluate(row, &mut none, &mut out);
        }
    }
    outcome::<P>(out, states)
}

/// Wakes keys, row by row.
///
/// A row whose state cannot be read is undecided, and the state stays as it is.
///
/// # Panics
///
/// If the wakes are not as the contract says, if the policy panics, or if it
/// asks to be woken without `timers` in `#[policy]`.
pub fn wake<P: Policy>(policy: &P, wakes: &evaluation::Wakes) -> evaluation::Outcome {
    let mut out = Out::new();
    let mut now: Vec<_> = wakes.states.iter().map(|state| Memory::<P::State>::of(state.as_deref())).collect();
    let judge = |row: u32, state: &mut P::State, out: &mut Out<P::Rule>| {
        out.turn_to(row);
        policy.wake(Time(wakes.at[row as usize]), state, out);
    };
    for (row, memory) in (0_u32..).zip(&mut now) {
        memory.judge(row, &mut out, &judge, |earlier| earlier == row);
    }
    let states = changed(&wakes.states, now);
    outcome::<P>(out, states)
}

/// Makes states of this policy's version out of those of version `from`.
///
/// # Errors
///
/// If the policy does not name the version in `migrates_from`, or cannot take
/// over a state; then with the state's index.
pub fn migrate<P: Policy>(from: u32, states: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, String> {
    let (name, migrates) = (P::DECLARATION.name, P::DECLARATION.migrates_from);
    if !migrates.contains(&from) {
        return Err(format!("{name} does not read states of version {from}"));
    }
    let migrated = states.iter().enumerate().map(|(index, state)| match P::migrate(from, state) {
        Ok(state) => Ok(state.and_then(|state| state.encode())),
        Err(reason) => Err(format!("state {index}, of version {from}: {reason}")),
    });
    migrated.collect()
}

fn outcome<P: Policy>(out: Out<P::Rule>, states: Vec<evaluation::ChangedState>) -> evaluation::Outcome {
    let Said { findings, undecided, timers } = out.said();
    assert!(timers.is_empty() || P::DECLARATION.timers, "a policy that asks to be woken needs `timers` in `#[policy]`");
    evaluation::Outcome { findings, undecided, states, timers }
}

/// The states of keys that are not what they were.
fn changed<S: State>(were: &[Option<Vec<u8>>], now: Vec<Memory<'_, S>>) -> Vec<evaluation::ChangedState> {
    let states = (0_u32..).zip(were).zip(now);
    let changed = states.filter_map(|((key, was), now)| {
        let state = now.state.ok()?.encode();
        (state != *was).then_some(evaluation::ChangedState { key, state })
    });
    changed.collect()
}

/// The state of one key during a call.
///
/// An undecided row must leave no trace in it, which shows only after the row
/// has changed it. Keeping a copy before each row would cost every row; so the
/// state is made again from what it was, by the rows that were decided. That
/// happens at most once for each row, however many are undecided.
struct Memory<'call, S> {
    /// The state, or why it cannot be read.
    state: Result<S, String>,
    /// What the state was before the rows from `since` on.
    before: Option<Cow<'call, [u8]>>,
    /// All rows of the key from here on were decided.
    since: u32,
}

impl<'call, S: State> Memory<'call, S> {
    fn of(state: Option<&'call [u8]>) -> Self {
        Self { state: read(state), before: state.map(Cow::Borrowed), since: 0 }
    }

    /// Judges a row. `is_same` tells which rows before it are of the same key.
    #[inline]
    fn judge<R: Rules>(&mut self, row: u32, out: &mut Out<R>, judge: &impl Fn(u32, &mut S, &mut Out<R>), is_same: impl Fn(u32) -> bool) {
        match &mut self.state {
            Ok(state) => judge(row, state, out),
            Err(reason) => {
                out.turn_to(row);
                out.undecided(format!("the state of the key cannot be read: {reason}"));
                return;
            }
        }
        if out.is_undecided() {
            self.go_back(row, judge, is_same);
        }
    }

    /// Makes the state what it was before the row.
    #[cold]
    fn go_back<R: Rules>(&mut self, row: u32, judge: &impl Fn(u32, &mut S, &mut Out<R>), is_same: impl Fn(u32) -> bool) {
        self.state = read(self.before.as_deref());
        let Ok(state) = &mut self.state else { return };
        log::muted(|| {
            let mut said_before = Out::new();
            for earlier in (self.since..row).filter(|&earlier| is_same(earlier)) {
                judge(earlier, state, &mut said_before);
            }
        });
        self.before = state.encode().map(Cow::Owned);
        self.since = row + 1;
    }
}

fn read<S: State>(state: Option<&[u8]>) -> Result<S, String> {
    state.map_or_else(|| Ok(S::default()), S::decode)
}
