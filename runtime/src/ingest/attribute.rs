//! What CloudEvents 1.0.2 says about the values of context attributes, for all
//! modes alike.

use super::Limits;
use crate::column::time_micros;

/// The `specversion` that this runtime reads.
pub(super) const SPEC_VERSION: &str = "1.0";

/// Attributes that every event has, in the order in which they are asked for.
pub(super) const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

/// Checks an attribute's text value; says what would be right.
pub(super) fn check(name: &str, value: &str, limits: &Limits) -> Result<(), String> {
    if value.len() > limits.attribute_bytes_max {
        return Err(format!("has {} bytes, at most {}", value.len(), limits.attribute_bytes_max));
    }
    // Section "Type System", String: no control characters. Beyond ASCII they are
    // two bytes, and most values have none.
    let beyond_ascii = |value: &str| !value.is_ascii() && value.chars().any(char::is_control);
    if value.bytes().any(|byte| byte.is_ascii_control()) || beyond_ascii(value) {
        return Err("has a control character".into());
    }
    match name {
        "id" | "type" | "subject" if value.is_empty() => Err("must not be empty".into()),
        "source" | "dataschema" if value.is_empty() => Err("must be a URI, not empty".into()),
        "source" | "dataschema" if value.contains(' ') => Err("must be a URI: write a space as %20".into()),
        "datacontenttype" if value != "application/json" && !is_media_type(value) => {
            Err("must be a media type, such as application/json".into())
        }
        "time" if time_micros(value).is_none() => Err("must be an RFC 3339 date-time with a zone, such as 2026-11-24T08:00:00Z".into()),
        _ => Ok(()),
    }
}

/// Checks the name of an attribute (section "Naming Conventions").
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        Ok(())
    } else {
        Err("attribute names have only lower-case letters and digits".into())
    }
}

/// Whether a media type says that its content is JSON (RFC 6839, section 3.1).
pub(super) fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

/// RFC 2045, section 5.1, as far as it goes before the parameters.
fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let token = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !br#"()<>@,;:\"/[]?="#.contains(&b));
    essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}
