//! `[access]` of the configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Role;
use crate::digest::Digest;
use crate::policy::publisher::Misfit;

/// What a fingerprint begins with.
const SHA256: &str = "sha256:";

/// Who is let in, and what for. Without a way in (`tokens`, `certificates` or `jwt`)
/// whoever can connect is let in, and the server listens on this machine only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Whether everybody may read what says nothing about events: checkpoints, hashes and
    /// key of the log, and repositories of releases. Any client of a transparency log can
    /// then follow, and any witness co-sign.
    pub public: bool,
    /// The file of bearer tokens, which `ephor token create` makes; relative to the folder
    /// of the configuration. It has no token, only their digests. Read again whenever it
    /// changes. Empty: nobody has one.
    #[schemars(example = &"tokens.json")]
    pub tokens: PathBuf,
    /// Client certificates, by the name that whoever has one acts under. They are verified
    /// against the authorities that the server's TLS settings name.
    pub certificates: BTreeMap<String, Certificate>,
    /// Tokens of an identity provider (OpenID Connect), signed with keys that are here.
    /// `issuer`, `audience` and `keys` go together; without them none is taken.
    pub jwt: JwtSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { public: true, tokens: PathBuf::new(), certificates: BTreeMap::new(), jwt: JwtSettings::default() }
    }
}

/// One client certificate, by its fingerprint or by a name in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Certificate {
    /// SHA-256 of the certificate in DER, in hexadecimal, behind `sha256:`.
    pub fingerprint: String,
    /// A DNS name or a URI of its subject alternative names, whole.
    #[schemars(example = &"ingest.shop.example")]
    pub name: String,
    /// What whoever has it may do: `ingest`, `regulator:PUBLISHER`, `operator`, `auditor`,
    /// `metrics`.
    #[schemars(extend("examples" = [["ingest"]]))]
    pub roles: Vec<String>,
}

/// Tokens of an identity provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct JwtSettings {
    /// Who issues them: their `iss` has to be this.
    #[schemars(example = &"https://login.shop.example/")]
    pub issuer: String,
    /// Whom they are for: one of their `aud` has to be this.
    #[schemars(example = &"ephor")]
    pub audience: String,
    /// The file of the issuer's public keys (a JWK set, RFC 7517), relative to the folder
    /// of the configuration. Read again whenever it changes.
    #[schemars(example = &"jwks.json")]
    pub keys: PathBuf,
    /// The claim with the roles: the name of a member, or a JSON Pointer to one that is
    /// further inside. A text or a list of texts.
    #[schemars(example = &"/realm_access/roles")]
    pub roles_claim: String,
    /// Roles by what that claim says. Without any, what it says is the name of a role;
    /// what it says beyond that is passed over.
    #[schemars(extend("examples" = [{"ephor-admins": ["operator"]}]))]
    pub roles: BTreeMap<String, Vec<String>>,
    /// Seconds by which the issuer's clock may be wrong.
    #[schemars(range(min = 0, max = 300))]
    pub leeway_s: u64,
}

impl Default for JwtSettings {
    fn default() -> Self {
        JwtSettings {
            issuer: String::new(),
            audience: String::new(),
            keys: PathBuf::new(),
            roles_claim: "roles".into(),
            roles: BTreeMap::new(),
            leeway_s: 30,
        }
    }
}

impl Settings {
    /// Whether there is a way in.
    pub fn is_configured(&self) -> bool {
        !self.tokens.as_os_str().is_empty() || !self.certificates.is_empty() || self.jwt.is_given()
    }

    /// The file of tokens, if there is one. Relative paths begin at `base`.
    pub fn tokens_file(&self, base: &Path) -> Option<PathBuf> {
        (!self.tokens.as_os_str().is_empty()).then(|| base.join(&self.tokens))
    }

    /// Files that it names, each with its key. Relative paths begin at `base`.
    pub fn files(&self, base: &Path) -> Vec<(Vec<&'static str>, PathBuf)> {
        let tokens = self.tokens_file(base).map(|file| (vec!["access", "tokens"], file));
        let keys = (!self.jwt.keys.as_os_str().is_empty()).then(|| (vec!["access", "jwt", "keys"], base.join(&self.jwt.keys)));
        tokens.into_iter().chain(keys).collect()
    }

    /// What is wrong beyond the types and ranges of single keys.
    pub(crate) fn problems(&self) -> Vec<Misfit> {
        let mut found = Vec::new();
        let mut say = |key: &[&str], message: String| {
            let key = ["access"].iter().chain(key).map(ToString::to_string).collect();
            found.push(Misfit { key, message });
        };
        if !self.is_configured() && *self != Settings::default() {
            say(&[], "names no way in: write tokens = \"tokens.json\", or a table [access.certificates.NAME] or [access.jwt]".into());
        }
        for (name, certificate) in &self.certificates {
            let key = ["certificates", name.as_str()];
            let Certificate { fingerprint, name: subject, roles } = certificate;
            match (fingerprint.is_empty(), subject.is_empty()) {
                (true, true) => say(&key, "says of no certificate: name its fingerprint, or a name in it".into()),
                (false, false) => say(&key, "has both a fingerprint and a name; leave one out".into()),
                (false, true) if parse_fingerprint(fingerprint).is_none() => {
                    say(&[key[0], key[1], "fingerprint"], "is not sha256: and 64 hexadecimal digits".into());
                }
                _ => {}
            }
            if roles.is_empty() {
                say(&[key[0], key[1], "roles"], format!("is empty; there are {}", Role::WORDS));
            }
            for role in roles {
                if let Err(error) = role.parse::<Role>() {
                    say(&[key[0], key[1], "roles"], format!("has {error}"));
                }
            }
        }
        let jwt = &self.jwt;
        let missing = [
            ("issuer", jwt.issuer.is_empty()),
            ("audience", jwt.audience.is_empty()),
            ("keys", jwt.keys.as_os_str().is_empty()),
            ("roles-claim", jwt.roles_claim.is_empty()),
        ];
        if missing[..3].iter().any(|(_, is_missing)| !is_missing) {
            for (name, _) in missing.iter().filter(|(_, is_missing)| *is_missing) {
                say(&["jwt", name], "is missing: a token is taken from one issuer, for one audience, with known keys".into());
            }
        }
        for (word, roles) in &jwt.roles {
            for error in roles.iter().filter_map(|role| role.parse::<Role>().err()) {
                say(&["jwt", "roles", word], format!("has {error}"));
            }
        }
        found
    }
}

impl JwtSettings {
    /// Whether such tokens are taken.
    pub fn is_given(&self) -> bool {
        !self.keys.as_os_str().is_empty()
    }

    /// What whoever has these words in the claim may do.
    pub(super) fn roles_of<'w>(&self, words: impl Iterator<Item = &'w str>) -> Vec<Role> {
        let named = words.flat_map(|word| match (self.roles.is_empty(), self.roles.get(word)) {
            (true, _) => vec![word.parse()],
            (false, roles) => roles.into_iter().flatten().map(|role| role.parse()).collect(),
        });
        let mut roles: Vec<Role> = named.flatten().collect();
        roles.sort();
        roles.dedup();
        roles
    }
}

impl Certificate {
    /// Whether it is this one.
    pub(super) fn is(&self, fingerprint: &[u8; 32], names: &[String]) -> bool {
        match parse_fingerprint(&self.fingerprint) {
            Some(own) => own == *fingerprint,
            None => !self.name.is_empty() && names.iter().any(|name| name.eq_ignore_ascii_case(&self.name)),
        }
    }

    /// Its roles. The configuration was checked when it was read.
    pub(super) fn parsed_roles(&self) -> Vec<Role> {
        self.roles.iter().filter_map(|role| role.parse().ok()).collect()
    }
}

/// `sha256:` and 64 hexadecimal digits; colons between them, as tools print them, do no
/// harm.
fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.strip_prefix(SHA256)?.chars().filter(|letter| *letter != ':').collect();
    Digest::from_hex(&digits.to_ascii_lowercase()).map(|digest| *digest.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(settings: &Settings) -> Vec<String> {
        settings.problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_certificate_is_known_by_its_fingerprint_or_by_a_name_in_it() {
        let certificate = |fingerprint: &str, name: &str| Certificate { fingerprint: fingerprint.into(), name: name.into(), roles: vec![] };
        let digits = "ab".repeat(32);
        let by_fingerprint = certificate(&format!("sha256:{digits}"), "");
        assert!(by_fingerprint.is(&[0xab; 32], &[]));
        assert!(certificate(&format!("sha256:{}", ["AB"; 32].join(":")), "").is(&[0xab; 32], &[]));
        assert!(!by_fingerprint.is(&[0xac; 32], &["ab".into()]));
        let by_name = certificate("", "spiffe://shop/ingest");
        assert!(by_name.is(&[0; 32], &["other".into(), "spiffe://shop/ingest".into()]));
        assert!(!by_name.is(&[0; 32], &["spiffe://shop/ingest/more".into()]));
        assert!(!certificate("", "").is(&[0; 32], &[String::new()]), "one that says nothing is nobody's");
    }

    #[test]
    fn what_would_let_in_nobody_or_the_wrong_ones_is_said() {
        assert_eq!(said(&Settings::default()), Vec::<String>::new());
        assert_eq!(said(&Settings { public: false, ..Settings::default() }).len(), 1);
        let certificates =
            [("a", Certificate::default()), ("b", Certificate { fingerprint: "x".into(), name: "y".into(), roles: vec!["root".into()] })];
        let certificates = certificates.into_iter().map(|(name, of)| (name.to_string(), of)).collect();
        let settings = Settings { certificates, jwt: JwtSettings { issuer: "i".into(), ..JwtSettings::default() }, ..Settings::default() };
        let said = said(&settings).join("\n");
        for part in [
            "a says of no certificate",
            "a.roles is empty",
            "b has both",
            "\"root\" is no role",
            "jwt.audience is missing",
            "jwt.keys is missing",
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
    }

    #[test]
    fn roles_come_from_a_map_or_are_named() {
        let words = || ["operator", "staff", "regulator:office"].into_iter();
        assert_eq!(JwtSettings::default().roles_of(words()), [Role::Regulator("office".into()), Role::Operator]);
        let roles = BTreeMap::from([("staff".to_string(), vec!["auditor".to_string(), "metrics".to_string()])]);
        let mapped = JwtSettings { roles, ..JwtSettings::default() };
        assert_eq!(mapped.roles_of(words()), [Role::Auditor, Role::Metrics], "with a map, nothing is a role by its name");
    }
}
