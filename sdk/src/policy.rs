use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::declaration::Declared;
use crate::evidence::Out;
use crate::fields::Fields;
use crate::rule::Rules;
use crate::settings::{self, SettingsErrors};
use crate::state::State;
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

    /// Judges one event. `state` is what the event before it of the same key left.
    fn evaluate(&self, fields: Self::Fields<'_>, state: &mut Self::State, out: &mut Out<Self::Rule>);
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
            })
            .collect(),
        keyed: P::State::KEYED.then(|| manifest::Keyed { key: declaration.key.to_vec(), state_version: declaration.state_version }),
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
/// A row whose state cannot be read is undecided, and the state stays as it is.
///
/// # Panics
///
/// If the batch is not as the contract says, or if the policy panics.
pub fn evaluate<P: Policy>(policy: &P, batch: &evaluation::Batch) -> evaluation::Outcome {
    let columns = <P::Fields<'_> as Fields<'_>>::columns(&batch.columns);
    let mut out = Out::new();
    let mut states = Vec::new();
    if P::State::KEYED {
        let keys = batch.keys.as_ref().expect("a batch for a policy with state has keys");
        let mut now: Vec<_> =
            keys.states.iter().map(|state| state.as_deref().map_or_else(|| Ok(P::State::default()), P::State::decode)).collect();
        for row in 0..batch.rows {
            out.turn_to(row);
            match &mut now[keys.of_row[row as usize] as usize] {
                Ok(state) => {
                    policy.evaluate(Fields::row(&columns, row as usize), state, &mut out);
                }
                Err(reason) => {
                    out.undecided(format!("the state of the key cannot be read: {reason}"));
                }
            }
        }
        for ((key, was), now) in (0_u32..).zip(&keys.states).zip(now) {
            let Ok(now) = now else { continue };
            let state = now.encode();
            if state != *was {
                states.push(evaluation::ChangedState { key, state });
            }
        }
    } else {
        let mut none = P::State::default();
        for row in 0..batch.rows {
            out.turn_to(row);
            policy.evaluate(Fields::row(&columns, row as usize), &mut none, &mut out);
        }
    }
    let (findings, undecided) = out.into_parts();
    evaluation::Outcome { findings, undecided, states }
}
