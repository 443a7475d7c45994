//! Tokens of an identity provider, right and forged (RFC 7515, 7517, 7519), made by hand:
//! what checks them is not what makes them.

use rcgen::{KeyPair, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Base64 for URLs, without padding.
pub fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let whole = group.iter().fold(0u32, |whole, byte| whole << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            text.push(LETTERS[(whole >> (18 - 6 * place)) as usize & 63].into());
        }
    }
    text
}

/// HMAC with SHA-256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    match key.len() > block.len() {
        true => block[..32].copy_from_slice(&Sha256::digest(key)),
        false => block[..key.len()].copy_from_slice(key),
    }
    let pad = |byte: u8| block.map(|own| own ^ byte);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

/// A header and claims, not signed yet.
fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()))
}

/// A token that nobody has signed.
pub fn none(claims: &Value) -> String {
    format!("{}.", unsigned(&json!({"alg": "none", "typ": "JWT"}), claims))
}

/// Who issues tokens: a key with a name.
pub struct Issuer {
    key: KeyPair,
    name: &'static str,
    algorithm: &'static str,
}

impl Issuer {
    /// With Ed25519.
    pub fn ed25519(name: &'static str) -> Issuer {
        Issuer { key: KeyPair::generate_for(&PKCS_ED25519).expect("a key"), name, algorithm: "EdDSA" }
    }

    /// With RSA.
    pub fn rsa(name: &'static str) -> Issuer {
        Issuer { key: KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key"), name, algorithm: "RS256" }
    }

    /// Its public key, as a member of a JWK set.
    pub fn jwk(&self) -> Value {
        match self.algorithm {
            "EdDSA" => json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(self.key.der_bytes()), "kid": self.name, "use": "sig"}),
            _ => {
                let (modulus, exponent) = self.modulus();
                json!({"kty": "RSA", "n": base64url(modulus), "e": base64url(exponent), "kid": self.name, "use": "sig"})
            }
        }
    }

    /// The two integers of an RSA public key in DER (RFC 8017, A.1.1).
    fn modulus(&self) -> (&[u8], &[u8]) {
        fn take(der: &[u8]) -> (&[u8], &[u8]) {
            let (length, head) = match der[1] {
                long if long & 0x80 != 0 => {
                    let bytes = usize::from(long & 0x7f);
                    (der[2..2 + bytes].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 2 + bytes)
                }
                short => (short.into(), 2),
            };
            (&der[head..head + length], &der[head + length..])
        }
        let (sequence, _) = take(self.key.der_bytes());
        let (modulus, rest) = take(sequence);
        let (exponent, _) = take(rest);
        (modulus.strip_prefix(&[0]).unwrap_or(modulus), exponent)
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(json!({"alg": self.algorithm, "typ": "JWT", "kid": self.name}), claims)
    }

    /// The same with another header.
    pub fn token_with(&self, header: Value, claims: &Value) -> String {
        let message = unsigned(&header, claims);
        let signature = self.key.sign(message.as_bytes()).expect("a signature");
        format!("{message}.{}", base64url(&signature))
    }

    /// Tokens that whoever knows the public key can make, if it is taken for a secret.
    pub fn confused(&self, claims: &Value) -> Vec<String> {
        let pem = self.key.public_key_pem();
        let modulus = if self.algorithm == "RS256" { self.modulus().0.to_vec() } else { Vec::new() };
        let secrets = [self.key.der_bytes().to_vec(), pem.trim().as_bytes().to_vec(), pem.into_bytes(), modulus];
        let message = unsigned(&json!({"alg": "HS256", "typ": "JWT", "kid": self.name}), claims);
        secrets.iter().map(|secret| format!("{message}.{}", base64url(&hmac(secret, message.as_bytes())))).collect()
    }

    /// A token with a secret that stands in the key set itself.
    pub fn with_secret(secret: &[u8], name: &str, claims: &Value) -> String {
        let message = unsigned(&json!({"alg": "HS256", "typ": "JWT", "kid": name}), claims);
        format!("{message}.{}", base64url(&hmac(secret, message.as_bytes())))
    }
}
