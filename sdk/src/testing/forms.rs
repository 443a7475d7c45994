//! What becomes of values that a policy asks for as pseudonyms, masked or coarse, where
//! the platform grants everything plain (`manifest.form`).

use std::borrow::Cow;

use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use crate::time::{self, Time};
use crate::wit::ephor::policy::manifest::{Field, Form, Kind};

/// Characters of a masked text that stay readable.
const MASK_KEEP: usize = 4;

const HOUR_MICROS: i64 = 3_600_000_000;

/// The pseudonym of a string, number or boolean, in a field with this purpose: as
/// tests have it everywhere, and a host in development. A platform makes others, with a
/// key of its own.
///
/// # Panics
///
/// If the value is `null`, an array or an object: those have none.
#[must_use]
pub fn pseudonym(purpose: &str, value: &Value) -> String {
    let mut key = keyed(&[0; 32]).chain_update(b"ephor pseudonym 1");
    for part in ["", purpose] {
        key = key.chain_update((part.len() as u64).to_le_bytes()).chain_update(part);
    }
    let key = key.chain_update(1_u32.to_le_bytes()).finalize().into_bytes();
    let mac = keyed(&key);
    let mac = match value {
        Value::String(text) => mac.chain_update(b"t").chain_update((text.len() as u64).to_le_bytes()).chain_update(text),
        Value::Bool(value) => mac.chain_update([b'b', u8::from(*value)]),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => mac.chain_update(b"i").chain_update(integer.to_le_bytes()),
            (None, Some(float)) => mac.chain_update(b"f").chain_update((float + 0.0).to_bits().to_le_bytes()),
            (None, None) => panic!("{number} is no number that an event can have"),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => panic!("only a string, a number or a boolean has a pseudonym"),
    };
    let digits: String = mac.finalize().into_bytes()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("p1-{digits}")
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// Whether a value can be read in a form other than as its kind says.
pub(super) fn has_pseudonym(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_i64() || number.is_f64(),
        value => value.is_string() || value.is_boolean(),
    }
}

/// The value as the policy sees it. It is of the field's kind, or has a pseudonym.
pub(super) fn show<'e>(field: &Field, value: &'e Value) -> Cow<'e, Value> {
    match field.form {
        Form::Plain => Cow::Borrowed(value),
        Form::Pseudonym if field.pointer.starts_with("/data") || value.is_string() => Cow::Owned(pseudonym(&field.purpose, value).into()),
        // An attribute is a text, however it came.
        Form::Pseudonym => Cow::Owned(pseudonym(&field.purpose, &value.to_string().into()).into()),
        Form::Mask => Cow::Owned(mask(value.as_str().unwrap_or_default()).into()),
        Form::Coarse => Cow::Owned(match field.kind {
            Kind::Integer => coarse_integer(value.as_i64().unwrap_or_default()).into(),
            Kind::Time => {
                let micros = value.as_str().and_then(time::parse).map_or(0, |time| time.0);
                Time(micros.div_euclid(HOUR_MICROS) * HOUR_MICROS).to_string().into()
            }
            _ => coarse_float(value.as_f64().unwrap_or_default()).into(),
        }),
    }
}

fn mask(text: &str) -> String {
    let count = text.chars().count();
    let hidden = if count > MASK_KEEP { count - MASK_KEEP } else { count };
    "*".repeat(hidden).chars().chain(text.chars().skip(hidden)).collect()
}

fn coarse_integer(value: i64) -> i64 {
    let step = 10_i64.pow(value.unsigned_abs().checked_ilog10().unwrap_or_default().saturating_sub(1));
    value / step * step
}

/// The shortest decimal that reads as the number, cut off after two digits.
fn coarse_float(value: f64) -> f64 {
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return value };
    let end = digits.find('.').map_or(digits.len(), |point| (point + 2).min(digits.len()));
    format!("{}e{exponent}", &digits[..end]).parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(kind: Kind, form: Form, value: &Value) -> Value {
        let field = Field { pointer: "/data/x".into(), kind, required: true, purpose: "count rides".into(), form };
        show(&field, value).into_owned()
    }

    /// The same values as in the runtime's tests.
    #[test]
    fn values_are_shown_as_a_host_shows_them() {
        assert_eq!(pseudonym("count rides", &json!("13800138000")), "p1-750d3ab27af147d7334a7ba697fa82a3");
        let all = [json!(1), json!("1"), json!(1.0), json!(true), json!("true")].map(|value| pseudonym("count rides", &value));
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
        for (value, expected) in [("+86 138 0013 8000", "*************8000"), ("8000", "****"), ("手机号码是我", "**号码是我")] {
            assert_eq!(seen(Kind::Text, Form::Mask, &json!(value)), json!(expected));
        }
        for (value, expected) in [(1_234, 1_200), (-1_299, -1_200), (7, 7), (0, 0)] {
            assert_eq!(seen(Kind::Integer, Form::Coarse, &json!(value)), json!(expected));
        }
        for (value, expected) in [(1_234.5, 1_200.0), (0.012_99, 0.012), (-1e-7, -1e-7)] {
            assert_eq!(seen(Kind::Float, Form::Coarse, &json!(value)), json!(expected));
        }
        assert_eq!(seen(Kind::Time, Form::Coarse, &json!("2024-02-29T23:59:59.5+08:00")), json!("2024-02-29T15:00:00Z"));
        assert_eq!(seen(Kind::Json, Form::Plain, &json!([1])), json!([1]));
    }
}
