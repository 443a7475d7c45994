//! Settings: their JSON Schema, and defaults as values.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use toml::Spanned;

use super::file::{SettingEntry, in_order};
use crate::program::{Expr, Kind, Setting};

/// The JSON Schema of the settings.
pub(super) fn of(entries: &BTreeMap<Spanned<String>, SettingEntry>, settings: &[Setting]) -> String {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for ((name, entry), setting) in in_order(entries).into_iter().zip(settings) {
        let mut property = match setting.kind {
            Kind::Boolean => json!({ "type": "boolean" }),
            Kind::Integer => json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
            Kind::Float => json!({ "type": "number" }),
            Kind::Text | Kind::Time => json!({ "type": "string" }),
        };
        if setting.is_list {
            property = json!({ "type": "array", "items": property });
        }
        property["description"] = entry.about.get_ref().as_str().into();
        match &setting.default {
            Some(default) => property["default"] = document(default),
            None => required.push(name.get_ref().as_str()),
        }
        properties.insert(name.get_ref().clone(), property);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
    .to_string()
}

/// A constant as JSON.
fn document(expr: &Expr) -> Value {
    match expr {
        Expr::Boolean(value) => (*value).into(),
        Expr::Integer(value) => (*value).into(),
        Expr::Float(value) => (*value).into(),
        Expr::Text(value) => value.as_str().into(),
        Expr::List(values) => values.iter().map(document).collect(),
        _ => Value::Null,
    }
}

/// A value of a kind, if it is one.
pub(super) fn value(value: &toml::Value, kind: Kind, is_list: bool) -> Option<Expr> {
    match (value, kind) {
        (toml::Value::Array(values), _) if is_list => {
            values.iter().map(|value| self::value(value, kind, false)).collect::<Option<_>>().map(Expr::List)
        }
        _ if is_list => None,
        (toml::Value::Boolean(value), Kind::Boolean) => Some(Expr::Boolean(*value)),
        (toml::Value::Integer(value), Kind::Integer) => Some(Expr::Integer(*value)),
        (toml::Value::Float(value), Kind::Float) => value.is_finite().then_some(Expr::Float(*value)),
        // Up to here every integer is a float.
        (toml::Value::Integer(value), Kind::Float) => (value.unsigned_abs() <= 1 << 53).then_some(Expr::Float(*value as f64)),
        (toml::Value::String(value), Kind::Text) => Some(Expr::Text(value.clone())),
        _ => None,
    }
}
