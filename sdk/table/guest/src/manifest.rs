//! What the policy says about itself.

use ephor_sdk::wit::ephor::policy::manifest::{self, Manifest};
use ephor_table::program::{Action, Form, Kind, Program, Severity};

/// The manifest of a program.
pub fn of(program: &Program) -> Manifest {
    let field = |field: &ephor_table::program::Field| manifest::Field {
        pointer: field.pointer.clone(),
        kind: match field.kind {
            Kind::Boolean => manifest::Kind::Boolean,
            Kind::Integer => manifest::Kind::Integer,
            Kind::Float => manifest::Kind::Float,
            Kind::Text => manifest::Kind::Text,
            Kind::Time => manifest::Kind::Time,
        },
        required: field.required,
        purpose: field.purpose.clone(),
        form: match field.form {
            Form::Plain => manifest::Form::Plain,
            Form::Pseudonym => manifest::Form::Pseudonym,
            Form::Mask => manifest::Form::Mask,
            Form::Coarse => manifest::Form::Coarse,
        },
    };
    let rule = |rule: &ephor_table::program::Rule| manifest::Rule {
        id: rule.id.clone(),
        action: match rule.action {
            Action::Flag => manifest::Action::Flag,
            Action::Deny => manifest::Action::Deny,
        },
        severity: match rule.severity {
            Severity::Low => manifest::Severity::Low,
            Severity::Medium => manifest::Severity::Medium,
            Severity::High => manifest::Severity::High,
            Severity::Critical => manifest::Severity::Critical,
        },
        legal_basis: rule.legal_basis.clone(),
        messages: rule
            .messages
            .iter()
            .map(|(language, text)| manifest::Message { language: language.clone(), text: text.clone() })
            .collect(),
    };
    Manifest {
        name: program.name.clone(),
        version: program.version.clone(),
        summary: program.summary.clone(),
        events: program.events.clone(),
        fields: program.fields.iter().map(field).collect(),
        keyed: program.keyed.as_ref().map(|keyed| manifest::Keyed {
            key: keyed.key.clone(),
            state_version: keyed.state_version,
            migrates_from: Vec::new(),
            resets: keyed.resets,
            timers: false,
        }),
        rules: program.rules.iter().map(rule).collect(),
        lists: program.lists.clone(),
        settings_schema: program.settings_schema.clone(),
    }
}
