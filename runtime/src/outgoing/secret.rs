//! Secrets of destinations: from a file or the environment, read anew for each request, so
//! that a new one takes no restart. They stand in no message, and no `Debug` shows them.

use std::env;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use reqwest::header::HeaderValue;
use sha2::Sha256;

/// What a secret begins with that signs (Standard Webhooks 1.0.0, "Signature scheme").
const PREFIX: &str = "whsec_";

/// Bytes of such a secret, at least and at most.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Where a secret is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    File(PathBuf),
    Environment(String),
}

impl Place {
    /// The place that a configuration names, if it names one.
    pub fn of(file: Option<PathBuf>, variable: Option<&str>) -> Option<Place> {
        file.map(Place::File).or_else(|| Some(Place::Environment(variable?.to_string())))
    }

    /// What is there, without white space around it.
    fn read(&self) -> Result<String, String> {
        let text = match self {
            Place::File(file) => fs::read_to_string(file).map_err(|error| format!("{self} cannot be read: {error}"))?,
            Place::Environment(name) => env::var(name).map_err(|_| format!("{self} is not set, or is no text"))?,
        };
        match text.trim() {
            "" => Err(format!("{self} has nothing in it")),
            text => Ok(text.to_string()),
        }
    }

    /// As the value of `Authorization`.
    pub fn authorization(&self) -> Result<HeaderValue, String> {
        let mut value = HeaderValue::try_from(self.read()?).map_err(|_| format!("what is in {self} cannot stand in a header"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// As what signs.
    pub fn signer(&self) -> Result<Signer, String> {
        let text = self.read()?;
        let form = || {
            format!(
                "what is in {self} is no secret to sign with; that is {PREFIX} and base64 of {} to {} bytes",
                BYTES.start(),
                BYTES.end()
            )
        };
        let bytes = text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok()).filter(|bytes| BYTES.contains(&bytes.len()));
        let mac = Hmac::new_from_slice(&bytes.ok_or_else(form)?).map_err(|_| form())?;
        Ok(Signer(mac))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(file) => write!(f, "{}", file.display()),
            Place::Environment(name) => write!(f, "the environment variable {name}"),
        }
    }
}

/// Signs requests.
pub(super) struct Signer(Hmac<Sha256>);

impl Signer {
    /// The value of `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp: u64, body: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body.as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> (tempfile::NamedTempFile, Place) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), text).expect("written");
        let place = Place::File(file.path().into());
        (file, place)
    }

    #[test]
    fn a_signature_is_that_of_the_specification() {
        let (_file, place) = place("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
        let signature = place.signer().expect("a secret").sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        // Of the test vectors of the project's own libraries.
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_wrong_with_a_secret_does_not_show_it() {
        for text in ["", "hunter2", "whsec_c2hvcnQ=", "whsec_not base64", "whsec_hunter2\nhunter2"] {
            let (_file, place) = place(text);
            let problem = place.signer().err().expect("no secret");
            assert!(!problem.contains("hunter2") && !problem.contains("c2hv"), "{problem}");
        }
        let (_file, place) = place("Bearer a\nb");
        assert!(place.authorization().is_err());
        let missing = Place::Environment("EPHOR_TEST_NOT_SET".into());
        assert!(missing.authorization().expect_err("not set").contains("EPHOR_TEST_NOT_SET"));
    }
}
