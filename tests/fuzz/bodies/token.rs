//! Bearer tokens, our own and those of an identity provider: nobody is let in by another text
//! than those that were given out. A first line `keys` or `tokens` is in front of the files
//! that know them.

use std::sync::OnceLock;

use ephor::access::tokens::Tokens;
use ephor::access::{Access, JwtSettings, Settings};

use super::{folder, headed};

/// The key of an issuer (RFC 8037), and a token that it signed, good until 2100.
const KEYS: &str = include_str!("../seeds/token/keys.json");
const JWT: &str = include_str!("../seeds/token/jwt");
/// A file of tokens, and the one that it knows.
const TOKENS: &str = include_str!("../seeds/token/tokens.json");
const TOKEN: &str = include_str!("../seeds/token/own");

pub fn body(bytes: &[u8]) {
    match headed(bytes) {
        (b"keys", keys) => {
            let folder = folder();
            std::fs::write(folder.path().join("keys.json"), keys).expect("written");
            if let Ok(access) = Access::open(&settings(), folder.path()) {
                access.expect("a way in").bearer(JWT.trim_end());
            }
        }
        (b"tokens", tokens) => {
            if let Ok(tokens) = Tokens::parse(tokens) {
                let text = serde_json::to_vec(&tokens).expect("can be written");
                assert_eq!(Tokens::parse(&text).as_ref(), Ok(&tokens));
            }
        }
        _ => {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            let known = [JWT.trim_end(), TOKEN.trim_end()];
            for text in [text, text.trim_end()] {
                let found = access().bearer(text);
                assert_eq!(found.is_some(), known.contains(&text), "{text:?} is {found:?}");
            }
        }
    }
}

fn settings() -> Settings {
    let jwt = JwtSettings {
        issuer: "https://login.shop.example/".into(),
        audience: "ephor".into(),
        keys: "keys.json".into(),
        ..JwtSettings::default()
    };
    Settings { jwt, ..Settings::default() }
}

fn access() -> &'static Access {
    static ACCESS: OnceLock<Access> = OnceLock::new();
    ACCESS.get_or_init(|| {
        let folder = folder();
        let behind = |text: &'static str| text.split_once('\n').expect("a first line").1;
        std::fs::write(folder.path().join("keys.json"), behind(KEYS)).expect("written");
        std::fs::write(folder.path().join("tokens.json"), behind(TOKENS)).expect("written");
        let settings = Settings { tokens: "tokens.json".into(), ..settings() };
        Access::open(&settings, folder.path()).expect("opens").expect("a way in")
    })
}
