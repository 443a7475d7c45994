//! Signed notes (C2SP signed-note): text that ends in a newline, an empty line, and
//! signature lines. Two kinds of signature are known here: plain Ed25519, which a
//! log signs with, and timestamped cosignatures, which witnesses sign with (C2SP
//! tlog-cosignature).
//!
//! A note proves nothing until [`Note::verify`] has found a signature of a key that
//! the caller trusts.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// The longest note that is read. Ours have some hundred bytes.
pub const MAX_NOTE: usize = 1_000_000;

/// The most signatures that a note may have; the specification asks for at least 16.
pub const MAX_SIGNATURES: usize = 100;

/// What begins a signature line: an em dash and a space.
const SIGNATURE: &str = "— ";

/// How a key signs (signed-note, "Signature types").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Algorithm {
    /// Ed25519 over the text (type 0x01).
    Ed25519 = 0x01,
    /// Ed25519 over a time and the text of a checkpoint (type 0x04, tlog-cosignature
    /// "Ed25519 signed message").
    Cosignature = 0x04,
}

/// Why a key is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name is empty, or has a space, a plus or a control character.
    #[error("the key name {0:?} is empty, or has a space, a plus sign or a control character")]
    Name(String),
    /// Not `name+id+key`.
    #[error("a verifier key has three parts with a plus sign between: a name, 8 lower-case hexadecimal digits, and base64")]
    Form,
    /// A signature type that is not known here.
    #[error("signature type 0x{0:02x} is not supported, only 0x01 (Ed25519) and 0x04 (cosignature/v1)")]
    Algorithm(u8),
    /// Not the encoding of a public key that can be trusted.
    #[error("the public key is not 32 bytes of a valid Ed25519 key")]
    Public,
    /// The key ID is not that of this name and key.
    #[error("the key ID {found:08x} does not belong to this name and key, whose ID is {expected:08x}: one of the three was changed")]
    Id {
        /// The ID that is written.
        found: u32,
        /// The ID that follows from name and key.
        expected: u32,
    },
}

fn check_name(name: &str) -> Result<(), KeyError> {
    // White space is that of Unicode. Control characters cannot stand in a note.
    if name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter == '+' || letter < ' ') {
        return Err(KeyError::Name(name.to_string()));
    }
    Ok(())
}

/// The key ID: the first four bytes of a hash over name, type and key. It tells keys
/// apart and proves nothing.
fn key_id(name: &str, algorithm: Algorithm, public: &[u8; 32]) -> u32 {
    let hash = Sha256::new().chain_update(name).chain_update([b'\n', algorithm as u8]).chain_update(public).finalize();
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

/// The public half of a key, with what it is called: who trusts a log or a witness
/// has one of these (signed-note, "Verifier keys").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    algorithm: Algorithm,
    public: VerifyingKey,
}

impl VerifierKey {
    /// A key under a name.
    pub fn new(name: &str, algorithm: Algorithm, public: &[u8; 32]) -> Result<Self, KeyError> {
        check_name(name)?;
        let key = VerifyingKey::from_bytes(public).ok().filter(|key| !key.is_weak()).ok_or(KeyError::Public)?;
        Ok(VerifierKey { name: name.to_string(), id: key_id(name, algorithm, public), algorithm, public: key })
    }

    /// Reads `name+id+key`. Only the one spelling that [`fmt::Display`] gives is
    /// taken, so that a key file has no byte that does not count.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else { return Err(KeyError::Form) };
        check_name(name)?;
        if id.len() != 8 || !id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(KeyError::Form);
        }
        let found = u32::from_str_radix(id, 16).map_err(|_| KeyError::Form)?;
        let key = BASE64_STANDARD.decode(key).map_err(|_| KeyError::Form)?;
        let (kind, public) = key.split_first().ok_or(KeyError::Form)?;
        let algorithm = match kind {
            0x01 => Algorithm::Ed25519,
            0x04 => Algorithm::Cosignature,
            other => return Err(KeyError::Algorithm(*other)),
        };
        let key = VerifierKey::new(name, algorithm, public.try_into().map_err(|_| KeyError::Public)?)?;
        if key.id != found {
            return Err(KeyError::Id { found, expected: key.id });
        }
        Ok(key)
    }

    /// The name, such as `example.com/log`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key ID.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key (RFC 8032).
    pub fn public(&self) -> &[u8; 32] {
        self.public.as_bytes()
    }

    /// Whether the signature names this key. Name and ID both count.
    fn named_by(&self, signature: &Signature) -> bool {
        self.id == signature.id && self.name == signature.name
    }

    /// Checks a signature over a text; gives its time, if it has one.
    ///
    /// Strictly (RFC 8032, section 5.1.7, and no keys of small order): a signature
    /// has one spelling, so that none of its bytes can be changed unseen.
    fn check(&self, text: &str, signature: &[u8]) -> Option<Option<u64>> {
        let (time, signature) = match self.algorithm {
            Algorithm::Ed25519 => (None, signature),
            Algorithm::Cosignature => {
                let (time, signature) = signature.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                (Some(time).filter(|time| *time <= MAX_TIME), signature)
            }
        };
        let holds = match (self.algorithm, time) {
            (Algorithm::Ed25519, _) => self.verifies(text.as_bytes(), signature),
            (Algorithm::Cosignature, Some(time)) => self.verifies(cosigned(text, time).as_bytes(), signature),
            (Algorithm::Cosignature, None) => false,
        };
        holds.then_some(time)
    }

    /// Whether these are the 64 bytes that the key signs this message with, strictly (RFC
    /// 8032, section 5.1.7, without multiplying by the cofactor, and no points of small
    /// order). What stands around a signature in a note is not looked at here.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = ed25519_dalek::Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.public.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.algorithm as u8];
        key.extend_from_slice(self.public.as_bytes());
        write!(f, "{}+{:08x}+{}", self.name, self.id, BASE64_STANDARD.encode(key))
    }
}

/// The latest time that a cosignature may have: 2^63 - 1 seconds.
const MAX_TIME: u64 = i64::MAX as u64;

/// What a witness signs (tlog-cosignature, "Ed25519 signed message").
fn cosigned(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// The secret half of a key. Wiped from memory when dropped.
pub struct SignerKey {
    secret: SigningKey,
    public: VerifierKey,
}

impl SignerKey {
    /// The key of a seed (the private key of RFC 8032), under a name.
    pub fn new(name: &str, algorithm: Algorithm, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let secret = SigningKey::from_bytes(seed);
        let public = VerifierKey::new(name, algorithm, secret.verifying_key().as_bytes())?;
        Ok(SignerKey { secret, public })
    }

    /// The public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.public
    }

    /// Signs a text. `time` is used by cosignatures only, in seconds since 1970.
    fn sign(&self, text: &str, time: u64) -> Signature {
        let bytes = match self.public.algorithm {
            Algorithm::Ed25519 => self.secret.sign(text.as_bytes()).to_bytes().to_vec(),
            Algorithm::Cosignature => {
                let time = time.min(MAX_TIME);
                let signature = self.secret.sign(cosigned(text, time).as_bytes());
                [&time.to_be_bytes()[..], &signature.to_bytes()[..]].concat()
            }
        };
        Signature { name: self.public.name.clone(), id: self.public.id, bytes }
    }
}

/// Shows the public half only.
impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignerKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key.
    pub name: String,
    /// The key ID.
    pub id: u32,
    /// What the key made, in the form of its algorithm.
    pub bytes: Vec<u8>,
}

/// As the line in a note, with its newline.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id.to_be_bytes()[..], &self.bytes].concat();
        writeln!(f, "{SIGNATURE}{} {}", self.name, BASE64_STANDARD.encode(bytes))
    }
}

/// Why bytes are not a note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE`].
    #[error("the note has more than {MAX_NOTE} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("the note is not UTF-8 at byte {0}")]
    Encoding(usize),
    /// A control character other than newline.
    #[error("the note has a control character at byte {0}")]
    Control(usize),
    /// No empty line between text and signatures, or nothing before or after it.
    #[error("the note has no text with an empty line and signatures after it")]
    Form,
    /// The last line has no newline.
    #[error("the note does not end in a newline")]
    Unterminated,
    /// A line after the empty line that is no signature.
    #[error("line {0} after the text is not a signature: an em dash, a key name, and base64 of at least 5 bytes")]
    Signature(usize),
    /// More than [`MAX_SIGNATURES`].
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    TooMany,
}

/// Why a note is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A trusted key's signature does not verify: the text or the signature was
    /// changed.
    #[error("the signature of the known key {name}+{id:08x} does not verify: the text or the signature was changed")]
    BadSignature {
        /// The key's name.
        name: String,
        /// The key's ID.
        id: u32,
    },
    /// No trusted key has signed.
    #[error("no known key has signed this note")]
    Unsigned,
    /// Two different trusted keys have one name and ID, so that a signature cannot
    /// be matched to one of them.
    #[error("two of the known keys are called {name}+{id:08x}")]
    Ambiguous {
        /// Their name.
        name: String,
        /// Their ID.
        id: u32,
    },
}

/// A trusted key that has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'k> {
    /// The key.
    pub key: &'k VerifierKey,
    /// When, in seconds since 1970, if it is a cosignature.
    pub time: Option<u64>,
}

/// A note as it was read or made: not yet believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// A note with this text and one signature. `None` if the text cannot be that of
    /// a note: it ends in a newline and has no other control character.
    pub fn sign(text: &str, key: &SignerKey) -> Option<Self> {
        let sound = text.ends_with('\n') && !text.contains(is_forbidden) && text.len() < MAX_NOTE / 2;
        sound.then(|| Note { text: text.to_string(), signatures: vec![key.sign(text, 0)] })
    }

    /// Adds a cosignature made at this time, in seconds since 1970. `key` has the
    /// algorithm [`Algorithm::Cosignature`]; that the text is a checkpoint which
    /// extends all that this witness has seen of the log is the caller's matter.
    pub fn cosign(&mut self, key: &SignerKey, time: u64) -> &Signature {
        self.add(key.sign(&self.text, time))
    }

    /// Adds a signature line that came from elsewhere, such as from a witness. It
    /// takes the place of an older one of the same key.
    pub fn add(&mut self, signature: Signature) -> &Signature {
        let place = self.signatures.iter().position(|known| known.name == signature.name && known.id == signature.id);
        let place = place.unwrap_or_else(|| {
            self.signatures.push(signature.clone());
            self.signatures.len() - 1
        });
        self.signatures[place] = signature;
        &self.signatures[place]
    }

    /// Reads a note (signed-note, "Format"). Nothing in it is checked yet but its
    /// form.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE {
            return Err(NoteError::TooLong);
        }
        let note = std::str::from_utf8(bytes).map_err(|error| NoteError::Encoding(error.valid_up_to()))?;
        if let Some(at) = note.find(is_forbidden) {
            return Err(NoteError::Control(at));
        }
        // The last empty line: the text may have others.
        let (text, lines) = note.rfind("\n\n").map(|at| (&note[..=at], &note[at + 2..])).ok_or(NoteError::Form)?;
        if lines.is_empty() {
            return Err(NoteError::Form);
        }
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Unterminated)?;
        let mut signatures = Vec::new();
        for (number, line) in lines.split('\n').enumerate() {
            if number == MAX_SIGNATURES {
                return Err(NoteError::TooMany);
            }
            signatures.push(parse_signature(line).ok_or(NoteError::Signature(number + 1))?);
        }
        Ok(Note { text: text.to_string(), signatures })
    }

    /// The text, with its last newline. Not to be used before [`Note::verify`].
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, in order.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Which of these keys have signed (signed-note, "Signatures"). Signatures of
    /// other keys are ignored; one that does not verify under its key fails the
    /// note. A key that has signed twice counts once, so that k signatures are those
    /// of k keys.
    pub fn verify<'k>(&self, keys: impl IntoIterator<Item = &'k VerifierKey>) -> Result<Vec<Signed<'k>>, VerifyError> {
        let mut known: Vec<&VerifierKey> = Vec::new();
        for key in keys {
            match known.iter().find(|other| other.id == key.id && other.name == key.name) {
                Some(other) if *other != key => return Err(VerifyError::Ambiguous { name: key.name.clone(), id: key.id }),
                Some(_) => {}
                None => known.push(key),
            }
        }
        let mut signed: Vec<Signed<'k>> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = known.iter().copied().find(|key| key.named_by(signature)) else { continue };
            let bad = || VerifyError::BadSignature { name: key.name.clone(), id: key.id };
            let time = key.check(&self.text, &signature.bytes).ok_or_else(bad)?;
            if !signed.iter().any(|other| other.key == key) {
                signed.push(Signed { key, time });
            }
        }
        if signed.is_empty() { Err(VerifyError::Unsigned) } else { Ok(signed) }
    }

    /// Which of these keys have signed, if any: [`Note::verify`] where it is no error
    /// that none has, such as for witnesses.
    pub fn signers<'k>(&self, keys: impl IntoIterator<Item = &'k VerifierKey>) -> Result<Vec<Signed<'k>>, VerifyError> {
        match self.verify(keys) {
            Err(VerifyError::Unsigned) => Ok(Vec::new()),
            signed => signed,
        }
    }
}

/// The bytes of the note.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| fmt::Display::fmt(signature, f))
    }
}

fn is_forbidden(letter: char) -> bool {
    letter < ' ' && letter != '\n'
}

/// Reads a signature line, without its newline.
fn parse_signature(line: &str) -> Option<Signature> {
    let (name, encoded) = line.strip_prefix(SIGNATURE)?.split_once(' ')?;
    check_name(name).ok()?;
    let bytes = BASE64_STANDARD.decode(encoded).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    if signature.is_empty() {
        return None;
    }
    Some(Signature { name: name.to_string(), id: u32::from_be_bytes(*id), bytes: signature.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // The example of C2SP signed-note, "Verifier keys".
    const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    fn signer(name: &str, algorithm: Algorithm, seed: u8) -> SignerKey {
        SignerKey::new(name, algorithm, &[seed; 32]).expect("a good name")
    }

    #[test]
    fn tl_05_the_example_of_the_specification_verifies() {
        let key = VerifierKey::parse(KEY).expect("a key");
        assert_eq!((key.name(), key.id(), key.algorithm()), ("example.com/foo", 0x530d903a, Algorithm::Ed25519));
        assert_eq!(key.to_string(), KEY);
        let note = Note::parse(NOTE.as_bytes()).expect("a note");
        assert_eq!(note.text(), "This is an example message.\n");
        assert_eq!(note.verify([&key]), Ok(vec![Signed { key: &key, time: None }]));
        assert_eq!(note.to_string(), NOTE);
    }

    /// The poem of the specification, whose text has an empty line, and its
    /// cosigned checkpoint; their keys are not published.
    #[test]
    fn tl_05_the_other_examples_are_read() {
        let poem = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
        let note = Note::parse(poem.as_bytes()).expect("a note");
        assert!(note.text().ends_with("di sole:\n\ned è subito sera.\n"));
        assert_eq!(note.to_string(), poem);

        let checkpoint = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
        let note = Note::parse(checkpoint.as_bytes()).expect("a note");
        let cosignature = &note.signatures()[1];
        // The time of the example's signed message.
        assert_eq!(cosignature.bytes[..8], 1_679_315_147u64.to_be_bytes());
        assert_eq!(cosignature.bytes.len(), 72);
        assert_eq!(note.to_string(), checkpoint);
    }

    /// Known answers made with another implementation (Ed25519 written out in Python),
    /// from the key of RFC 8032, section 7.1, test 1.
    #[test]
    fn signatures_are_those_of_another_implementation() {
        const SEED: [u8; 32] = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b,
            0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let log = SignerKey::new("example.com/log", Algorithm::Ed25519, &SEED).expect("a key");
        let witness = SignerKey::new("witness.example/w1", Algorithm::Cosignature, &SEED).expect("a key");
        assert_eq!(log.verifier().to_string(), "example.com/log+cc714670+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea");
        assert_eq!(witness.verifier().to_string(), "witness.example/w1+eb762cc2+BNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea");
        let mut note = Note::sign("example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", &log).expect("a text");
        note.cosign(&witness, 1_679_315_147);
        let lines: Vec<String> = note.signatures().iter().map(Signature::to_string).collect();
        assert_eq!(
            lines,
            [
                "— example.com/log zHFGcKUsF3xdyl89g8LJgnpk3tAHPSnj4MvMGKumlPFllRFoOppeiTmAjA/qMBjUekD6LHO41IOlvJ2iE0RTbMnjyg0=\n",
                "— witness.example/w1 63YswgAAAABkGFDLfEHKuE+/0dHOftdhPVSBQpKQJtq9li2wMOHZ4TlGNjHTm26UJdEsv6PuwSPnU6josPavYegI/12gJa9oKVjdBA==\n"
            ]
        );
    }

    #[test]
    fn keys_have_one_spelling() {
        for wrong in [
            "",
            "example.com/foo",
            "example.com/foo+530d903a",
            "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+0530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k=",
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n",
            "example.com/foo+530d903a+",
            "example.com/foo+530d903a+AQ==",
            "example com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example\u{a0}com+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        ] {
            assert!(VerifierKey::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            VerifierKey::parse(&KEY.replace("foo", "fop")),
            Err(KeyError::Id {
                found: 0x530d903a,
                expected: key_id("example.com/fop", Algorithm::Ed25519, VerifierKey::parse(KEY).expect("a key").public())
            })
        );
        // 0x06 is ML-DSA-44.
        let other = format!("example.com/foo+530d903a+{}", BASE64_STANDARD.encode([6; 33]));
        assert_eq!(VerifierKey::parse(&other), Err(KeyError::Algorithm(6)));
        // The neutral element verifies anything.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(VerifierKey::new("x", Algorithm::Ed25519, &neutral), Err(KeyError::Public));
    }

    #[test]
    fn tl_05_what_is_not_a_note_is_refused() {
        let line = "— n AAAAAAA=\n";
        assert!(Note::parse(format!("t\n\n{line}").as_bytes()).is_ok());
        assert!(Note::parse(format!("\n\n{line}").as_bytes()).is_ok(), "an empty line is a text");
        assert!(Note::parse(format!("t\n\n{}", line.repeat(16)).as_bytes()).is_ok());
        assert_eq!(Note::parse(format!("t\n\n{}", line.repeat(101)).as_bytes()), Err(NoteError::TooMany));
        assert_eq!(Note::parse(b""), Err(NoteError::Form));
        assert_eq!(Note::parse(b"t\n"), Err(NoteError::Form));
        assert_eq!(Note::parse(b"t\n\n"), Err(NoteError::Form));
        assert_eq!(Note::parse(format!("\n{line}").as_bytes()), Err(NoteError::Form));
        assert_eq!(Note::parse(format!("t\n{line}").as_bytes()), Err(NoteError::Form));
        assert_eq!(Note::parse(format!("t\n\n{}", line.trim_end()).as_bytes()), Err(NoteError::Unterminated));
        assert_eq!(Note::parse(format!("t\r\n\n{line}").as_bytes()), Err(NoteError::Control(1)));
        assert_eq!(Note::parse(format!("t\0\n\n{line}").as_bytes()), Err(NoteError::Control(1)));
        assert_eq!(Note::parse(b"t\xff\n\n"), Err(NoteError::Encoding(1)));
        assert_eq!(Note::parse(&vec![b'x'; MAX_NOTE + 1]), Err(NoteError::TooLong));
        for wrong in [
            "- n AAAAAAA=",
            "—n AAAAAAA=",
            "— n",
            "—  AAAAAAA=",
            "— n AAAAAA==",
            "— n AAAAAAA",
            "— n  AAAAAAA=",
            "— n+m AAAAAAA=",
            "— n AAAAAAA= ",
            "— n\u{2003} AAAAAAA=",
            "— n AAAAAAB=",
        ] {
            assert_eq!(Note::parse(format!("t\n\n{wrong}\n").as_bytes()), Err(NoteError::Signature(1)), "{wrong}");
            assert_eq!(Note::parse(format!("t\n\n{line}{wrong}\n").as_bytes()), Err(NoteError::Signature(2)), "{wrong}");
        }
        assert!(Note::sign("no newline", &signer("n", Algorithm::Ed25519, 1)).is_none());
        assert!(Note::sign("tab\t\n", &signer("n", Algorithm::Ed25519, 1)).is_none());
    }

    #[test]
    fn tl_05_as_many_signatures_as_are_asked_for_and_notes_up_to_the_bound_are_read() {
        let keys: Vec<SignerKey> = (1..=16).map(|seed| signer(&format!("key-{seed}"), Algorithm::Ed25519, seed)).collect();
        let mut note = Note::sign("text\n", &keys[0]).expect("a text");
        for key in &keys[1..] {
            note.add(key.sign("text\n", 0));
        }
        let read = Note::parse(note.to_string().as_bytes()).expect("sixteen signatures");
        let signed = read.verify(keys.iter().map(SignerKey::verifier)).expect("all hold");
        assert!(signed.iter().map(|signed| signed.key).eq(keys.iter().map(SignerKey::verifier)), "{signed:?}");
        // Each of them counts: none may be wrong, whichever it is.
        for place in 0..16 {
            let mut bad = read.clone();
            bad.signatures[place].bytes[3] ^= 1;
            let name = format!("key-{}", place + 1);
            assert!(
                matches!(bad.verify(keys.iter().map(SignerKey::verifier)), Err(VerifyError::BadSignature { name: bad, .. }) if bad == name)
            );
        }
        let line = "\n— n AAAAAAA=\n";
        let long = |bytes: usize| format!("{}\n{line}", "x".repeat(bytes - line.len() - 1));
        assert!(Note::parse(long(MAX_NOTE).as_bytes()).is_ok());
        for bytes in [MAX_NOTE + 1, 1 << 20] {
            assert_eq!(Note::parse(long(bytes).as_bytes()), Err(NoteError::TooLong));
        }
        // Control characters anywhere: in the text, in a name, behind the last line.
        for control in ('\0'..' ').filter(|letter| *letter != '\n') {
            for wrong in [format!("t{control}\n{line}"), format!("t\n\n— n{control} AAAAAAA=\n"), format!("t\n{line}{control}\n")] {
                assert!(matches!(Note::parse(wrong.as_bytes()), Err(NoteError::Control(_))), "{wrong:?}");
            }
        }
    }

    #[test]
    fn tl_05_known_keys_must_verify_and_unknown_ones_do_not_count() {
        let (one, two) = (signer("log", Algorithm::Ed25519, 1), signer("log", Algorithm::Ed25519, 2));
        let witness = signer("witness", Algorithm::Cosignature, 3);
        let mut note = Note::sign("text\n", &one).expect("a text");
        assert_eq!(note.verify([two.verifier()]), Err(VerifyError::Unsigned), "same name, other key");
        assert_eq!(note.verify([]), Err(VerifyError::Unsigned));
        note.cosign(&witness, 7);
        let signed = note.verify([one.verifier(), two.verifier(), witness.verifier(), witness.verifier()]).expect("signed");
        assert_eq!(signed, [Signed { key: one.verifier(), time: None }, Signed { key: witness.verifier(), time: Some(7) }]);
        // One bad signature of a known key fails the note, whatever others say.
        let mut bad = note.clone();
        bad.signatures[1].bytes[7] ^= 1;
        assert_eq!(
            bad.verify([one.verifier(), witness.verifier()]),
            Err(VerifyError::BadSignature { name: "witness".into(), id: witness.verifier().id() })
        );
        assert_eq!(bad.verify([one.verifier()]).map(|signed| signed.len()), Ok(1), "who does not know the witness does not care");
        // The same key twice counts once, and the second time has to be right too.
        let mut twice = note.clone();
        twice.signatures.push(twice.signatures[0].clone());
        assert_eq!(twice.verify([one.verifier()]).map(|signed| signed.len()), Ok(1));
        twice.signatures[2].bytes[0] ^= 1;
        assert!(twice.verify([one.verifier()]).is_err());
        // A witness's newer signature takes the place of its older one.
        note.cosign(&witness, 8);
        assert_eq!(note.signatures().len(), 2);
        assert_eq!(note.verify([witness.verifier()]).map(|signed| signed[0].time), Ok(Some(8)));
    }

    #[test]
    fn a_cosignature_is_not_a_signature() {
        let (log, witness) = (signer("n", Algorithm::Ed25519, 1), signer("n", Algorithm::Cosignature, 1));
        assert_ne!(log.verifier().id(), witness.verifier().id(), "the type is in the ID");
        let mut note = Note::sign("text\n", &log).expect("a text");
        note.cosign(&witness, 7);
        note.signatures.remove(0);
        note.signatures[0].id = log.verifier().id();
        note.signatures[0].bytes.drain(..8);
        assert!(note.verify([log.verifier()]).is_err());
        let mut late = Note::sign("text\n", &log).expect("a text");
        late.add(Signature { name: "n".into(), id: witness.verifier().id(), bytes: [[0xff; 8].as_slice(), &[0; 64]].concat() });
        assert!(late.verify([witness.verifier()]).is_err(), "beyond 2^63 - 1");
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", signer("n", Algorithm::Ed25519, 0xab));
        assert!(!shown.contains("171, 171") && !shown.contains("abab"), "{shown}");
    }

    #[test]
    fn any_changed_bit_of_a_note_is_seen() {
        let key = VerifierKey::parse(KEY).expect("a key");
        for at in 0..NOTE.len() * 8 {
            let mut bytes = NOTE.as_bytes().to_vec();
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(Note::parse(&bytes).is_err() || Note::parse(&bytes).is_ok_and(|note| note.verify([&key]).is_err()), "bit {at}");
        }
        for at in 0..KEY.len() * 8 {
            let mut bytes = KEY.as_bytes().to_vec();
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(
                std::str::from_utf8(&bytes).is_err() || std::str::from_utf8(&bytes).is_ok_and(|text| VerifierKey::parse(text).is_err()),
                "bit {at}"
            );
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "(\\PC|\n|— |=|\\+){0,80}") {
            let _ = Note::parse(&bytes);
            let _ = VerifierKey::parse(&text);
            if let Ok(note) = Note::parse(text.as_bytes()) {
                prop_assert_eq!(note.to_string(), text);
            }
        }

        #[test]
        fn what_is_read_is_written_again(text in "([a-z0-9 é—]{0,8}\n){1,5}", lines in prop::collection::vec(("[a-zé./]{1,9}", any::<u32>(), prop::collection::vec(any::<u8>(), 1..90)), 1..5)) {
            let signatures = lines.into_iter().map(|(name, id, bytes)| Signature { name, id, bytes }).collect();
            let note = Note { text, signatures };
            prop_assert_eq!(Note::parse(note.to_string().as_bytes()), Ok(note));
        }
    }
}
