//! Witnesses: third parties that look at the log from outside and co-sign its
//! checkpoints (C2SP tlog-cosignature), and when there are enough of them.

use std::collections::{BTreeMap, VecDeque};

use super::OpenError;
use super::checkpoint::Checkpoint;
use super::note::{Algorithm, KeyError, Note, NoteError, VerifierKey, VerifyError};

/// Checkpoints that are remembered for witnesses: as many as they may be behind, while
/// the log signs one a second.
const RECENT: usize = 256;

/// A cosignature is not taken.
#[derive(Debug, thiserror::Error)]
pub enum CosignError {
    /// It is not a note.
    #[error("this is not a signed note: {0}")]
    Note(#[from] NoteError),
    /// The checkpoint is not one of the log's latest.
    #[error("the checkpoint is none of the latest of this log")]
    Unknown,
    /// No witness has signed that this log was told of, or a signature does not hold.
    #[error("no witness of this log has signed it: {0}")]
    Nobody(VerifyError),
    /// It could not be kept.
    #[error(transparent)]
    Kept(#[from] super::SignedError),
}

/// How far the witnesses are.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Witnessed {
    /// Entries of the latest checkpoint.
    pub signed: u64,
    /// Witnesses that have to co-sign a checkpoint for it to be final.
    pub required: usize,
    /// Entries of the latest final checkpoint.
    pub final_size: u64,
    /// For each witness that the log was told of the entries of the latest checkpoint
    /// that it has co-signed.
    pub witnesses: BTreeMap<String, u64>,
}

/// The witnesses of a log.
#[derive(Default)]
pub(super) struct Witnesses {
    keys: Vec<VerifierKey>,
    required: usize,
    /// The latest checkpoints, with the cosignatures so far; the oldest first.
    recent: VecDeque<(Checkpoint, Note)>,
    seen: BTreeMap<String, u64>,
    finished: Option<(Checkpoint, Note)>,
}

impl Witnesses {
    /// Reads the keys of witnesses, of which so many are required.
    pub fn new(keys: &[String], required: usize) -> Result<Self, OpenError> {
        let key = |text: &String| {
            let wrong = |error| OpenError::Witness { key: text.clone(), error };
            let key = VerifierKey::parse(text).map_err(wrong)?;
            match key.algorithm() {
                Algorithm::Cosignature => Ok(key),
                other @ Algorithm::Ed25519 => Err(wrong(KeyError::Algorithm(other as u8))),
            }
        };
        let keys: Vec<VerifierKey> = keys.iter().map(key).collect::<Result<_, _>>()?;
        let seen = keys.iter().map(|key| (key.name().to_string(), 0)).collect();
        Ok(Witnesses { keys, required, recent: VecDeque::new(), seen, finished: None })
    }

    /// A checkpoint was signed.
    pub fn signed(&mut self, checkpoint: Checkpoint, note: Note) {
        self.recent.push_back((checkpoint, note));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        self.count(self.recent.len() - 1);
    }

    /// Takes the cosignatures of a note over. Gives the log's own note with them.
    pub fn cosign(&mut self, bytes: &[u8]) -> Result<Note, CosignError> {
        let posted = Note::parse(bytes)?;
        let found = self.recent.iter().position(|(_, note)| note.text() == posted.text()).ok_or(CosignError::Unknown)?;
        // Only signatures that hold get in: one bad one would spoil the note for everybody.
        let names: Vec<(String, u32)> = posted
            .verify(&self.keys)
            .map_err(CosignError::Nobody)?
            .iter()
            .map(|signed| (signed.key.name().to_string(), signed.key.id()))
            .collect();
        let (_, note) = &mut self.recent[found];
        for signature in posted.signatures() {
            if names.iter().any(|(name, id)| *name == signature.name && *id == signature.id) {
                note.add(signature.clone());
            }
        }
        let note = note.clone();
        self.count(found);
        Ok(note)
    }

    /// Counts the cosignatures of one of the latest.
    fn count(&mut self, at: usize) {
        let (checkpoint, note) = &self.recent[at];
        let signed = note.verify(&self.keys).unwrap_or_default();
        for signed in &signed {
            if let Some(size) = self.seen.get_mut(signed.key.name()) {
                *size = checkpoint.size.max(*size);
            }
        }
        let newer = self.finished.as_ref().is_none_or(|(finished, _)| finished.size <= checkpoint.size);
        if signed.len() >= self.required && newer {
            self.finished = Some((checkpoint.clone(), note.clone()));
        }
    }

    /// The latest checkpoint that enough witnesses have co-signed.
    pub fn finished(&self) -> Option<(Checkpoint, Note)> {
        self.finished.clone()
    }

    /// How far they are.
    pub fn standing(&self) -> Witnessed {
        Witnessed {
            signed: self.recent.back().map_or(0, |(checkpoint, _)| checkpoint.size),
            required: self.required,
            final_size: self.finished.as_ref().map_or(0, |(checkpoint, _)| checkpoint.size),
            witnesses: self.seen.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::SignerKey;
    use super::super::tree::Hash;
    use super::*;

    fn log() -> SignerKey {
        SignerKey::new("log", Algorithm::Ed25519, &[1; 32]).expect("a good name")
    }

    fn witness(name: &str) -> SignerKey {
        SignerKey::new(name, Algorithm::Cosignature, &[2; 32]).expect("a good name")
    }

    fn signed(size: u64) -> (Checkpoint, Note) {
        let checkpoint = Checkpoint { origin: "log".into(), size, root: Hash([size as u8; 32]), extensions: Vec::new() };
        let note = checkpoint.sign(&log()).expect("can be signed");
        (checkpoint, note)
    }

    /// The note of a checkpoint with the cosignature of a witness.
    fn cosigned(size: u64, by: &SignerKey) -> Vec<u8> {
        let (_, mut note) = signed(size);
        note.cosign(by, 1_800_000_000 + size);
        note.to_string().into_bytes()
    }

    fn watched(required: usize) -> Witnesses {
        let keys = ["one", "two"].map(|name| witness(name).verifier().to_string());
        let mut witnesses = Witnesses::new(&keys, required).expect("keys of witnesses");
        for size in [10, 20] {
            let (checkpoint, note) = signed(size);
            witnesses.signed(checkpoint, note);
        }
        witnesses
    }

    #[test]
    fn tl_07_whatever_order_cosignatures_come_in_nobody_is_set_back() {
        let (one, two) = (witness("one"), witness("two"));
        // Two sizes at once, of two witnesses: in any order it comes to the same.
        let all = [cosigned(10, &one), cosigned(20, &one), cosigned(10, &two), cosigned(20, &two)];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2], [2, 1, 3, 0]] {
            let mut witnesses = watched(2);
            let mut before = 0;
            for at in order {
                witnesses.cosign(&all[at]).expect("taken");
                let finished = witnesses.finished().map_or(0, |(checkpoint, _)| checkpoint.size);
                assert!(finished >= before, "{order:?}: {finished} after {before}");
                before = finished;
            }
            let standing = witnesses.standing();
            assert_eq!((standing.final_size, standing.witnesses["one"], standing.witnesses["two"]), (20, 20, 20), "{order:?}");
        }
    }

    #[test]
    fn tl_07_what_is_not_taken_is_said_and_changes_nothing() {
        let one = witness("one");
        let mut witnesses = watched(1);
        let before = witnesses.standing();
        assert!(matches!(witnesses.cosign(b"no note"), Err(CosignError::Note(_))));
        // One that the log has not signed: of another size, or another tree of the same.
        assert!(matches!(witnesses.cosign(&cosigned(15, &one)), Err(CosignError::Unknown)));
        let other = Checkpoint { origin: "log".into(), size: 20, root: Hash([9; 32]), extensions: Vec::new() };
        let mut note = other.sign(&log()).expect("can be signed");
        note.cosign(&one, 1);
        assert!(matches!(witnesses.cosign(note.to_string().as_bytes()), Err(CosignError::Unknown)));
        // Nobody that the log was told of, and a signature that does not hold.
        assert!(matches!(witnesses.cosign(&cosigned(20, &witness("three"))), Err(CosignError::Nobody(VerifyError::Unsigned))));
        let bad = String::from_utf8(cosigned(20, &one)).expect("UTF-8");
        let (_, mut changed) = signed(20);
        let mut signature = Note::parse(bad.as_bytes()).expect("a note").signatures()[1].clone();
        signature.bytes[20] ^= 1;
        changed.add(signature);
        let refused = witnesses.cosign(changed.to_string().as_bytes());
        assert!(matches!(refused, Err(CosignError::Nobody(VerifyError::BadSignature { .. }))), "{refused:?}");
        assert_eq!(witnesses.standing(), before);
        assert!(witnesses.finished().is_none());
        // A log's key is none of a witness.
        assert!(Witnesses::new(&[log().verifier().to_string()], 1).is_err());
    }
}
