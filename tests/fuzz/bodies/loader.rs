//! Components at the static gate: it says something of any bytes, and always the same.

use ephor::fuzz::gate;
use ephor::sandbox::{Limits, LoadError};

pub fn body(bytes: &[u8]) {
    let limits = Limits::default();
    let said = gate(bytes, &limits);
    match &said {
        Ok((imports, exports)) => {
            assert!(bytes.len() <= limits.gate.component_bytes_max && bytes.starts_with(b"\0asm"));
            assert!(imports.iter().all(|name| name.starts_with("ephor:policy/") && name.contains("@0.1.")), "{imports:?}");
            assert!(["describe", "configure", "evaluate"].iter().all(|name| exports.iter().any(|export| export == name)), "{exports:?}");
            // Nothing that is let through needs more room than it is let through with.
            let mut narrow = Limits::default();
            narrow.gate.component_bytes_max = bytes.len();
            assert_eq!(gate(bytes, &narrow).as_ref().ok(), said.as_ref().ok());
            narrow.gate.component_bytes_max -= 1;
            assert!(matches!(gate(bytes, &narrow), Err(LoadError::Gate { .. })));
        }
        Err(error) => {
            let is_from_reading = matches!(
                error,
                LoadError::NotAComponent { .. }
                    | LoadError::Invalid { .. }
                    | LoadError::Gate { .. }
                    | LoadError::Import { .. }
                    | LoadError::ContractVersion { .. }
                    | LoadError::WrongWorld { .. }
            );
            assert!(is_from_reading, "{error:?}");
        }
    }
    assert_eq!(gate(bytes, &limits), said);
}
