//! Tokens of an identity provider: JWT (RFC 7519, best current practice in RFC 8725),
//! signed with a key of a JWK set (RFC 7517) that lies here.

use std::path::Path;
use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;

use super::settings::JwtSettings;
use super::watched::Watched;
use super::{AccessError, How, Identity};

/// Keys of a set that are looked at, at most.
const KEYS_MAX: usize = 100;

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 256;

/// How tokens of a provider are checked.
#[derive(Debug)]
pub(super) struct Jwt {
    settings: JwtSettings,
    keys: Watched<Keys>,
}

/// The keys of a set that can be used.
#[derive(Default)]
struct Keys(Vec<Key>);

struct Key {
    id: Option<String>,
    /// What it may sign with: never a secret that both sides have, never nothing.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Jwt {
    pub(super) fn open(settings: &JwtSettings, base: &Path) -> Result<Self, AccessError> {
        let keys = Watched::open(base.join(&settings.keys), "keys (JWK set)", Keys::parse)?;
        Ok(Jwt { settings: settings.clone(), keys })
    }

    pub(super) fn refresh(&self) {
        self.keys.refresh();
    }

    /// Who has a token; nobody if it does not hold.
    pub(super) fn find(&self, token: &str) -> Option<Arc<Identity>> {
        match self.check(token) {
            Ok(identity) => Some(Arc::new(identity)),
            Err(why) => {
                tracing::debug!(why, "A token of the identity provider is not taken");
                None
            }
        }
    }

    fn check(&self, token: &str) -> Result<Identity, String> {
        let header = decode_header(token).map_err(|error| error.to_string())?;
        // What somebody must understand to take it is not understood here (RFC 7515, 4.1.11).
        if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
            return Err("its header asks for more than is understood".into());
        }
        let mut why = "no key of that name and algorithm is known".to_string();
        let keys = self.keys.get();
        for key in keys.0.iter().filter(|key| key.fits(header.kid.as_deref(), header.alg)) {
            match decode::<Value>(token, &key.key, &self.validation(header.alg)) {
                Ok(data) => return self.identity(&data.claims),
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&[&self.settings.audience]);
        validation.validate_nbf = true;
        validation.leeway = self.settings.leeway_s;
        validation
    }

    fn identity(&self, claims: &Value) -> Result<Identity, String> {
        let name = claims["sub"].as_str().unwrap_or_default();
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err("its subject names nobody".into());
        }
        let claim = self.settings.roles_claim.as_str();
        let said = if claim.starts_with('/') { claims.pointer(claim) } else { claims.get(claim) };
        let words: Vec<&str> = match said {
            Some(Value::String(words)) => words.split(' ').collect(),
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let roles = self.settings.roles_of(words.into_iter());
        Ok(Identity { name: name.to_string(), roles, how: How::Jwt })
    }
}

impl Keys {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        // One that is of a kind unknown here is passed over (RFC 7517, section 5).
        let known = set.keys.iter().take(KEYS_MAX).filter_map(|key| Jwk::deserialize(key).ok());
        let keys: Vec<Key> = known.filter_map(|key| Key::of(&key)).collect();
        match keys.is_empty() && !set.keys.is_empty() {
            true => Err("none of its keys is a public key that tokens can be checked with".into()),
            false => Ok(Keys(keys)),
        }
    }
}

impl Key {
    /// A key that signatures can be checked with, or nothing: secrets and keys for
    /// encryption are none.
    fn of(jwk: &Jwk) -> Option<Self> {
        if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
            return None;
        }
        use Algorithm as A;
        let possible: &[A] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => &[A::RS256, A::RS384, A::RS512, A::PS256, A::PS384, A::PS512],
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => &[A::ES256],
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P384 => &[A::ES384],
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => &[A::EdDSA],
            _ => return None,
        };
        let algorithms = match &jwk.common.key_algorithm {
            None => possible.to_vec(),
            Some(named) => vec![*possible.iter().find(|algorithm| format!("{algorithm:?}") == named.to_string())?],
        };
        Some(Key { id: jwk.common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(jwk).ok()? })
    }

    fn fits(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm) && id.is_none_or(|id| self.id.as_deref().is_none_or(|own| own == id))
    }
}
