//! The contract as Rust types, generated from `wit/`, and their counterparts in
//! the rest of the runtime.

use crate::column::Kind;
use crate::policy::manifest::{Action, AskedForm, Field, Keyed, Manifest, Message, Rule, Severity};

mod generated {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "policy",
        imports: { default: trappable },
    });
}

pub(super) use generated::ephor::policy::columns::{Booleans, Column as WitColumn, Floats, Integers, Texts};
pub(super) use generated::ephor::policy::evaluation::{Batch, Evidence, Keys, Outcome, Timer, Wakes};
pub(super) use generated::ephor::policy::{columns, evaluation, log, manifest, settings};
pub(super) use generated::{Policy, PolicyPre};

impl From<manifest::Manifest> for Manifest {
    fn from(wit: manifest::Manifest) -> Self {
        Manifest {
            name: wit.name,
            version: wit.version,
            summary: wit.summary,
            events: wit.events,
            fields: wit.fields.into_iter().map(Into::into).collect(),
            keyed: wit.keyed.map(Into::into),
            rules: wit.rules.into_iter().map(Into::into).collect(),
            lists: wit.lists,
            settings_schema: wit.settings_schema,
        }
    }
}

impl From<manifest::Keyed> for Keyed {
    fn from(wit: manifest::Keyed) -> Self {
        Keyed { key: wit.key, state_version: wit.state_version, migrates_from: wit.migrates_from, resets: wit.resets, timers: wit.timers }
    }
}

impl From<manifest::Field> for Field {
    fn from(wit: manifest::Field) -> Self {
        let kind = match wit.kind {
            manifest::Kind::Boolean => Kind::Boolean,
            manifest::Kind::Integer => Kind::Integer,
            manifest::Kind::Float => Kind::Float,
            manifest::Kind::Text => Kind::Text,
            manifest::Kind::Time => Kind::Time,
            manifest::Kind::Json => Kind::Json,
        };
        let form = match wit.form {
            manifest::Form::Plain => AskedForm::Plain,
            manifest::Form::Pseudonym => AskedForm::Pseudonym,
            manifest::Form::Mask => AskedForm::Mask,
            manifest::Form::Coarse => AskedForm::Coarse,
        };
        Field { pointer: wit.pointer, kind, required: wit.required, purpose: wit.purpose, form }
    }
}

impl From<manifest::Rule> for Rule {
    fn from(wit: manifest::Rule) -> Self {
        let action = match wit.action {
            manifest::Action::Flag => Action::Flag,
            manifest::Action::Deny => Action::Deny,
        };
        let severity = match wit.severity {
            manifest::Severity::Low => Severity::Low,
            manifest::Severity::Medium => Severity::Medium,
            manifest::Severity::High => Severity::High,
            manifest::Severity::Critical => Severity::Critical,
        };
        let messages = wit.messages.into_iter().map(|m| Message { language: m.language, text: m.text }).collect();
        Rule { id: wit.id, action, severity, legal_basis: wit.legal_basis, messages }
    }
}
