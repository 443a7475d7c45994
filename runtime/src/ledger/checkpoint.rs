//! Checkpoints (C2SP tlog-checkpoint): what the log says about itself, signed; the
//! file that keeps all of them; and proofs that stand on one (C2SP tlog-proof).

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};

use super::limits::Durability;
use super::note::{MAX_NOTE, Note, NoteError, Signed, SignerKey, VerifierKey, VerifyError};
use super::tree::{self, Hash, ProofError};

/// The state of a log: its name, how many entries it has, and the root over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log it is of; also the name of its key.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
    /// Further lines. The specification advises against them, since nobody can check
    /// them; a ledger that does not sync says so here.
    pub extensions: Vec<String>,
}

/// The further line of a checkpoint whose log leaves syncing to the operating system.
const DURABILITY_OS: &str = "ephor durability os";

/// Why a text is not that of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Fewer than three lines, or an empty one.
    #[error("a checkpoint has three or more lines, none of them empty")]
    Lines,
    /// The second line is not a decimal number below 2^64 without leading zeroes.
    #[error("the size {0:?} is not a decimal number without leading zeroes")]
    Size(String),
    /// The third line is not 32 bytes in base64.
    #[error("the root {0:?} is not 32 bytes in base64")]
    Root(String),
    /// Size 0 has one root only: the hash of nothing (RFC 6962, section 2.1).
    #[error("the root is not that of a tree without leaves")]
    NotEmpty,
}

/// Why a signed checkpoint is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Not signed by the log's key.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Signed, but not a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint of another log, signed with this one's key.
    #[error("the checkpoint is of the log {found:?}, not of {expected:?}")]
    Origin {
        /// The origin that it states.
        found: String,
        /// The name of the log's key.
        expected: String,
    },
}

impl Checkpoint {
    /// Reads a note's text (tlog-checkpoint, "Note text").
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n');
        if lines.clone().any(str::is_empty) {
            return Err(CheckpointError::Lines);
        }
        let (Some(origin), Some(digits), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Lines);
        };
        // What is read is what would be written: neither a plus sign nor zeroes.
        let size = digits.parse::<u64>().ok().filter(|size| size.to_string() == digits);
        let size = size.ok_or_else(|| CheckpointError::Size(digits.to_string()))?;
        let root = decode_hash(root).ok_or_else(|| CheckpointError::Root(root.to_string()))?;
        if size == 0 && root != Hash::of_nothing() {
            return Err(CheckpointError::NotEmpty);
        }
        Ok(Checkpoint { origin: origin.to_string(), size, root, extensions: lines.map(str::to_string).collect() })
    }

    /// The further lines that say how its log is kept; none for one that syncs.
    pub(super) fn extensions_of(durability: Durability) -> Vec<String> {
        match durability {
            Durability::Sync => Vec::new(),
            Durability::Os => vec![DURABILITY_OS.to_string()],
        }
    }

    /// How the log was kept when this was signed, by what it says. What a checkpoint
    /// covers was on the disk in any case.
    pub fn durability(&self) -> Durability {
        match self.extensions.iter().any(|line| line == DURABILITY_OS) {
            true => Durability::Os,
            false => Durability::Sync,
        }
    }

    /// Signs the checkpoint; `None` if the origin or an extension cannot stand on a
    /// line of its own. That it extends every one that the key has signed before is
    /// the caller's duty (tlog-checkpoint, "Signatures").
    pub fn sign(&self, key: &SignerKey) -> Option<Note> {
        let text = self.to_string();
        // Read again, since a line break in a part would make another checkpoint.
        (Checkpoint::parse(&text).as_ref() == Ok(self)).then(|| Note::sign(&text, key))?
    }

    /// Reads a signed checkpoint of the log that has this key. The key's name is the
    /// log's origin: a key that signs for two logs could give one's state out as the
    /// other's.
    pub fn open(bytes: &[u8], key: &VerifierKey) -> Result<(Self, Note), OpenError> {
        let note = Note::parse(bytes)?;
        note.verify([key])?;
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin != key.name() {
            return Err(OpenError::Origin { found: checkpoint.origin, expected: key.name().to_string() });
        }
        Ok((checkpoint, note))
    }
}

/// The text of the note, with its last newline.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, BASE64_STANDARD.encode(self.root.0))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn decode_hash(text: &str) -> Option<Hash> {
    Hash::from_slice(&BASE64_STANDARD.decode(text).ok()?)
}

/// What begins a frame of the history.
const FRAME: &str = "ephor checkpoint ";

/// The end of the file of all checkpoints, to append to.
///
/// Each signed note stands after a line with its number, its length in bytes and a
/// digest:
///
/// ```text
/// ephor checkpoint 1 172 <64 hexadecimal digits>
/// <the note>
/// ```
///
/// The digest is SHA-256 over the digest before it (32 zero bytes before the first),
/// the number and the length as big-endian 64-bit integers, and the note. So every
/// byte counts, also those of signatures whose keys nobody here knows, and a frame
/// that was removed, swapped or put in between is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    number: u64,
    digest: Hash,
}

impl Default for History {
    fn default() -> Self {
        History { number: 0, digest: Hash([0; 32]) }
    }
}

impl History {
    /// A history without checkpoints.
    pub fn new() -> Self {
        History::default()
    }

    /// How many checkpoints it has.
    pub fn len(&self) -> u64 {
        self.number
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.number == 0
    }

    /// The bytes to append for a note, after which the history ends with it.
    pub fn append(&mut self, note: &Note) -> Vec<u8> {
        let note = note.to_string();
        self.number += 1;
        self.digest = frame_digest(&self.digest, self.number, note.as_bytes());
        let mut bytes = frame_header(self.number, note.len(), &self.digest).into_bytes();
        bytes.extend_from_slice(note.as_bytes());
        bytes
    }

    /// Takes up a history where it ends; the second is the number of bytes that are
    /// whole. What is behind them can be a write that was interrupted, and is to be
    /// cut off if it is. Whether it is, the latest checkpoint tells, which is kept
    /// elsewhere as well: it is none that was ever finished if that one is before it.
    pub fn resume(bytes: &[u8]) -> Result<(Self, usize), BadFrame> {
        let mut history = History::new();
        for frame in Frames::new(bytes) {
            match frame {
                Ok(frame) => history = History { number: frame.number, digest: frame.digest },
                Err(bad) if bad.torn => return Ok((history, bad.offset)),
                Err(bad) => return Err(bad),
            }
        }
        Ok((history, bytes.len()))
    }
}

fn frame_digest(previous: &Hash, number: u64, note: &[u8]) -> Hash {
    let hasher = Sha256::new().chain_update(previous.0).chain_update(number.to_be_bytes());
    Hash(hasher.chain_update((note.len() as u64).to_be_bytes()).chain_update(note).finalize().into())
}

fn frame_header(number: u64, length: usize, digest: &Hash) -> String {
    format!("{FRAME}{number} {length} {digest}\n")
}

/// One checkpoint of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'b> {
    /// Its number, from 1.
    pub number: u64,
    /// Where the frame begins.
    pub offset: usize,
    /// The signed note.
    pub note: &'b [u8],
    /// The digest of all until here.
    pub digest: Hash,
}

/// A place in the history that is not a frame, or not the one expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the history of checkpoints is damaged at byte {offset}: {what}")]
pub struct BadFrame {
    /// Where it begins.
    pub offset: usize,
    /// Whether it can be a write that was interrupted: nothing follows. Of such a
    /// write any part may be there, and the rest may be missing or zeros.
    pub torn: bool,
    /// What is wrong.
    pub what: FrameDamage,
}

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameDamage {
    /// The file ends inside the frame.
    #[error("the file ends inside the frame")]
    Short,
    /// No frame begins here.
    #[error("no checkpoint begins here")]
    Header,
    /// A frame begins here, but with another number.
    #[error("checkpoint {found} stands where {expected} should")]
    Number {
        /// The number that it has.
        found: u64,
        /// The number that it should have.
        expected: u64,
    },
    /// The digest is not that of the frame after the one before it.
    #[error("the digest does not match: the checkpoint was changed, or one before it was changed or removed")]
    Digest,
}

/// All frames of a history. After a damaged one it goes on with the next that can be
/// found.
#[derive(Debug, Clone)]
pub struct Frames<'b> {
    bytes: &'b [u8],
    at: usize,
    number: u64,
    /// `None` after damage that leaves the digest unknown.
    digest: Option<Hash>,
}

impl<'b> Frames<'b> {
    /// The frames in the bytes of the file.
    pub fn new(bytes: &'b [u8]) -> Self {
        Frames { bytes, at: 0, number: 0, digest: Some(Hash([0; 32])) }
    }

    /// Reads a header: number, length of the note, digest, length of the header.
    fn header(&self, at: usize) -> Result<(u64, usize, Hash, usize), FrameDamage> {
        let rest = &self.bytes[at..];
        // Prefix, two numbers of 20 digits at most, 64 digits, two spaces and the
        // newline.
        let window = &rest[..rest.len().min(FRAME.len() + 20 + 20 + 64 + 3)];
        let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
            let short = rest.len() == window.len() && (rest.starts_with(FRAME.as_bytes()) || FRAME.as_bytes().starts_with(rest));
            return Err(if short { FrameDamage::Short } else { FrameDamage::Header });
        };
        let read = || {
            let mut words = std::str::from_utf8(&rest[..end]).ok()?.strip_prefix(FRAME)?.split(' ');
            let (number, length, digits) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?);
            let mut digest = Hash([0; 32]);
            for (byte, pair) in digest.0.iter_mut().zip(digits.as_bytes().chunks(2)) {
                *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
            }
            // Only the one spelling.
            let same = frame_header(number, length, &digest).as_bytes() == &rest[..=end];
            (same && length <= MAX_NOTE).then_some((number, length, digest, end + 1))
        };
        read().ok_or(FrameDamage::Header)
    }

    /// The next place after `at` where a line begins like a frame, or the end.
    fn resynchronise(&self, at: usize) -> usize {
        let next = self.bytes[at + 1..].windows(FRAME.len() + 1).position(|window| window[0] == b'\n' && window[1..] == *FRAME.as_bytes());
        next.map_or(self.bytes.len(), |next| at + 1 + next + 1)
    }
}

impl<'b> Iterator for Frames<'b> {
    type Item = Result<Frame<'b>, BadFrame>;

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.at;
        if offset >= self.bytes.len() {
            return None;
        }
        let bad = |torn, what| Some(Err(BadFrame { offset, torn, what }));
        let expected = self.number + 1;
        let (number, length, digest, header) = match self.header(offset) {
            Ok(header) => header,
            Err(what) => {
                self.at = self.resynchronise(offset);
                self.number = expected;
                self.digest = None;
                return bad(self.at == self.bytes.len(), what);
            }
        };
        let Some(note) = self.bytes[offset + header..].get(..length) else {
            self.at = self.resynchronise(offset);
            (self.number, self.digest) = (number, Some(digest));
            return bad(self.at == self.bytes.len(), FrameDamage::Short);
        };
        let previous = self.digest.replace(digest);
        self.number = number;
        self.at = offset + header + length;
        if number != expected {
            return bad(false, FrameDamage::Number { found: number, expected });
        }
        if previous.is_some_and(|previous| frame_digest(&previous, number, note) != digest) {
            // Should the length be what was changed, the next frame is elsewhere.
            if self.at < self.bytes.len() && !self.bytes[self.at..].starts_with(FRAME.as_bytes()) {
                self.at = self.resynchronise(offset);
            }
            return bad(self.at == self.bytes.len(), FrameDamage::Digest);
        }
        Some(Ok(Frame { number, offset, note, digest }))
    }
}

/// A proof that an entry is in the log, to be checked by anybody and offline (C2SP
/// tlog-proof).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryProof {
    /// Bytes that come along. Nothing protects them.
    pub extra: Option<Vec<u8>>,
    /// Place of the entry, from 0: its sequence less one.
    pub index: u64,
    /// The audit path, from the entry's sibling up.
    pub path: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: Note,
}

/// Why a proof does not prove.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryProofError {
    /// Not in the form of tlog-proof.
    #[error("line {0} is not what a c2sp.org/tlog-proof@v1 has there")]
    Form(usize),
    /// The checkpoint in it is not to be believed.
    #[error("the checkpoint of the proof: {0}")]
    Checkpoint(#[from] OpenError),
    /// The entry is not where the proof says.
    #[error("the entry is not in the log at this place: {0}")]
    Inclusion(#[from] ProofError),
}

/// The first line of a proof.
const PROOF: &str = "c2sp.org/tlog-proof@v1";

impl EntryProof {
    /// Reads a proof (tlog-proof, "Format"). Only its one spelling is taken.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryProofError> {
        let cut = bytes.windows(2).position(|pair| pair == b"\n\n").ok_or(EntryProofError::Form(1))?;
        let head = std::str::from_utf8(&bytes[..cut]).map_err(|_| EntryProofError::Form(1))?;
        let mut lines = (1..).zip(head.split('\n')).peekable();
        if lines.next().is_none_or(|(_, line)| line != PROOF) {
            return Err(EntryProofError::Form(1));
        }
        let extra = match lines.next_if(|(_, line)| line.starts_with("extra ")) {
            Some((at, line)) => Some(BASE64_STANDARD.decode(&line["extra ".len()..]).map_err(|_| EntryProofError::Form(at))?),
            None => None,
        };
        let (at, line) = lines.next().ok_or(EntryProofError::Form(2))?;
        let digits = line.strip_prefix("index ").ok_or(EntryProofError::Form(at))?;
        let index = digits.parse::<u64>().ok().filter(|index| index.to_string() == digits).ok_or(EntryProofError::Form(at))?;
        let path = lines.map(|(at, line)| decode_hash(line).ok_or(EntryProofError::Form(at))).collect::<Result<Vec<_>, _>>()?;
        let checkpoint = Note::parse(&bytes[cut + 2..]).map_err(OpenError::from)?;
        Ok(EntryProof { extra, index, path, checkpoint })
    }

    /// Checks that this entry is in the log that has this key (tlog-proof,
    /// "Verifying a tlog proof"). Gives the checkpoint, and which of these witnesses
    /// have signed it; how many of them are enough is the caller's policy.
    pub fn verify<'k>(
        &self,
        entry: &[u8],
        key: &VerifierKey,
        witnesses: &'k [VerifierKey],
    ) -> Result<(Checkpoint, Vec<Signed<'k>>), EntryProofError> {
        let (checkpoint, note) = Checkpoint::open(self.checkpoint.to_string().as_bytes(), key)?;
        let signed = note.signers(witnesses).map_err(OpenError::from)?;
        tree::verify_inclusion(&tree::leaf_hash(entry), self.index, checkpoint.size, &self.path, &checkpoint.root)?;
        Ok((checkpoint, signed))
    }
}

/// The bytes of the proof.
impl fmt::Display for EntryProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{PROOF}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64_STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", BASE64_STANDARD.encode(hash.0)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::Algorithm;
    use super::super::tree::{MemoryTiles, Tree};
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    fn key(name: &str) -> SignerKey {
        SignerKey::new(name, Algorithm::Ed25519, &[7; 32]).expect("a good name")
    }

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint {
            origin: "log".into(),
            size,
            root: if size == 0 { Hash::of_nothing() } else { Hash([size as u8; 32]) },
            extensions: Vec::new(),
        }
    }

    fn signed(size: u64) -> Note {
        checkpoint(size).sign(&key("log")).expect("can be signed")
    }

    #[test]
    fn tl_06_the_example_of_the_specification_is_read() {
        let read = Checkpoint::parse(TEXT).expect("a checkpoint");
        assert_eq!((read.origin.as_str(), read.size, read.extensions.len()), ("example.com/behind-the-sofa", 20_852_163, 0));
        assert_eq!(read.to_string(), TEXT);
        let extended = format!("{TEXT}durability os\n");
        assert_eq!(Checkpoint::parse(&extended).expect("a checkpoint").extensions, ["durability os"]);
    }

    #[test]
    fn tl_06_what_is_not_a_checkpoint_is_refused() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        for lines in ["", "o\n", "o\n1\n", "\n1\nROOT\n", "o\n1\nROOT", "o\n1\nROOT\n\n", "o\n1\nROOT\n\nx\n", "o\n\n1\nROOT\n"] {
            assert_eq!(Checkpoint::parse(&lines.replace("ROOT", root)), Err(CheckpointError::Lines), "{lines:?}");
        }
        for size in ["01", "00", "+1", "-1", "1 ", " 1", "0x1", "1e3", "18446744073709551616", "x"] {
            assert_eq!(Checkpoint::parse(&format!("o\n{size}\n{root}\n")), Err(CheckpointError::Size(size.into())));
        }
        assert_eq!(Checkpoint::parse(&format!("o\n{}\n{root}\n", u64::MAX)).map(|read| read.size), Ok(u64::MAX));
        for wrong in [
            "x",
            "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I",
            "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=",
            "CsUYapGGPo4dkMgIAUqom_Xajj7h2fB2MPA3j2jxq2I=",
            "AAAA",
        ] {
            assert_eq!(Checkpoint::parse(&format!("o\n1\n{wrong}\n")), Err(CheckpointError::Root(wrong.into())));
        }
        assert_eq!(Checkpoint::parse(&format!("o\n0\n{root}\n")), Err(CheckpointError::NotEmpty));
        assert!(Checkpoint::parse("o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n").is_ok());
    }

    #[test]
    fn tl_06_only_the_logs_own_key_opens_it() {
        let note = signed(3).to_string();
        let (read, _) = Checkpoint::open(note.as_bytes(), key("log").verifier()).expect("its own");
        assert_eq!(read, checkpoint(3));
        assert!(matches!(Checkpoint::open(note.as_bytes(), key("other").verifier()), Err(OpenError::Verify(VerifyError::Unsigned))));
        // Another log's state under this log's key.
        let foreign = Note::sign(&Checkpoint { origin: "other".into(), ..checkpoint(3) }.to_string(), &key("log")).expect("a text");
        assert!(matches!(Checkpoint::open(foreign.to_string().as_bytes(), key("log").verifier()), Err(OpenError::Origin { .. })));
        let text = Note::sign("just text\n", &key("log")).expect("a text");
        assert!(matches!(
            Checkpoint::open(text.to_string().as_bytes(), key("log").verifier()),
            Err(OpenError::Checkpoint(CheckpointError::Lines))
        ));
    }

    #[test]
    fn parts_with_line_breaks_are_not_signed() {
        for extension in ["", "a\nb", "a\n"] {
            assert!(Checkpoint { extensions: vec![extension.into()], ..checkpoint(1) }.sign(&key("log")).is_none(), "{extension:?}");
        }
        assert!(Checkpoint { origin: "a\nb".into(), ..checkpoint(1) }.sign(&key("log")).is_none());
        assert!(Checkpoint { extensions: vec!["durability os".into()], ..checkpoint(1) }.sign(&key("log")).is_some());
    }

    fn history(sizes: std::ops::Range<u64>) -> (History, Vec<u8>) {
        let mut history = History::new();
        let mut bytes = Vec::new();
        sizes.for_each(|size| bytes.extend(history.append(&signed(size))));
        (history, bytes)
    }

    #[test]
    fn a_history_comes_back_whole_and_cut_anywhere() {
        let (history, bytes) = history(0..5);
        let frames: Vec<Frame<'_>> = Frames::new(&bytes).collect::<Result<_, _>>().expect("whole");
        assert_eq!(frames.len(), 5);
        for (frame, size) in frames.iter().zip(0..) {
            assert_eq!(frame.note, signed(size).to_string().as_bytes());
        }
        assert_eq!(History::resume(&bytes), Ok((history, bytes.len())));
        let ends: Vec<usize> = frames.iter().map(|frame| frame.offset).chain([bytes.len()]).collect();
        for cut in 0..bytes.len() {
            let whole = ends.iter().copied().filter(|end| *end <= cut).max().expect("0 is one");
            let (_, good) = History::resume(&bytes[..cut]).unwrap_or_else(|bad| panic!("cut at {cut}: {bad}"));
            assert_eq!(good, whole, "cut at {cut}");
        }
    }

    #[test]
    fn every_changed_bit_of_a_history_is_seen_and_the_rest_is_still_read() {
        let (_, bytes) = history(0..4);
        for at in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[at / 8] ^= 1 << (at % 8);
            let results: Vec<_> = Frames::new(&changed).collect();
            assert!(results.iter().any(Result::is_err), "bit {at}");
            assert!(results.iter().filter(|result| result.is_ok()).count() >= 2, "bit {at}: {results:?}");
        }
    }

    #[test]
    fn holes_in_the_last_frame_can_be_an_interrupted_write_and_other_damage_cannot() {
        let (_, bytes) = history(0..4);
        let last = Frames::new(&bytes).map(|frame| frame.expect("whole").offset).last().expect("four");
        for from in last..bytes.len() {
            for to in (from + 1..=bytes.len()).step_by(7) {
                let mut holed = bytes.clone();
                holed[from..to].fill(0);
                assert_eq!(History::resume(&holed).map(|(history, whole)| (history.len(), whole)), Ok((3, last)), "{from} to {to}");
            }
        }
        for from in 0..last - 1 {
            for to in [from + 1, last - 1] {
                let mut holed = bytes.clone();
                holed[from..to].fill(0);
                assert!(History::resume(&holed).is_err(), "{from} to {to}");
            }
        }
    }

    #[test]
    fn removed_swapped_and_repeated_checkpoints_are_seen() {
        let (_, bytes) = history(0..4);
        let offsets: Vec<usize> = Frames::new(&bytes).map(|frame| frame.expect("whole").offset).chain([bytes.len()]).collect();
        let frame = |place: usize| &bytes[offsets[place]..offsets[place + 1]];
        for order in [vec![1, 2, 3], vec![0, 2, 3], vec![0, 1, 3], vec![1, 0, 2, 3], vec![0, 0, 1, 2, 3], vec![0, 1, 2, 3, 3]] {
            let changed: Vec<u8> = order.iter().flat_map(|place| frame(*place)).copied().collect();
            assert!(History::resume(&changed).is_err(), "{order:?}");
        }
    }

    #[test]
    fn tl_12_a_proof_verifies_and_every_changed_character_fails() {
        let mut tree = Tree::new(MemoryTiles::default());
        let entries: Vec<String> = (0..7).map(|number| format!("entry {number}")).collect();
        entries.iter().for_each(|entry| tree.push(tree::leaf_hash(entry.as_bytes())));
        let log = key("log");
        let witness = SignerKey::new("w", Algorithm::Cosignature, &[9; 32]).expect("a good name");
        let mut note =
            Checkpoint { origin: "log".into(), size: 7, root: tree.root(), extensions: Vec::new() }.sign(&log).expect("can be signed");
        note.cosign(&witness, 12);
        for index in 0..7 {
            let proof = EntryProof { extra: None, index, path: tree.inclusion(index, 7).expect("in range"), checkpoint: note.clone() };
            let text = proof.to_string();
            assert_eq!(EntryProof::parse(text.as_bytes()).as_ref(), Ok(&proof));
            let witnesses = [witness.verifier().clone()];
            let entry = entries[index as usize].as_bytes();
            let (_, signed) = proof.verify(entry, log.verifier(), &witnesses).expect("holds");
            assert_eq!(signed.len(), 1);
            assert!(proof.verify(b"another entry", log.verifier(), &witnesses).is_err());
            for at in 0..text.len() {
                let mut changed = text.clone().into_bytes();
                changed[at] ^= 1;
                let result = EntryProof::parse(&changed)
                    .and_then(|proof| proof.verify(entry, log.verifier(), &witnesses).map(|(_, signed)| signed.len()));
                // Changing the witness's name or ID makes it an unknown one.
                assert!(!matches!(result, Ok(1)), "byte {at}");
            }
        }
        // Whatever is done to one character of the last proof, it proves nothing any more
        // to who asks for the log's key and the witness.
        let proof = EntryProof { extra: None, index: 6, path: tree.inclusion(6, 7).expect("in range"), checkpoint: note.clone() };
        let (text, witnesses) = (proof.to_string(), [witness.verifier().clone()]);
        let proves = |text: &str| {
            let proof = EntryProof::parse(text.as_bytes());
            proof.and_then(|proof| proof.verify(entries[6].as_bytes(), log.verifier(), &witnesses).map(|(_, signed)| signed.len())) == Ok(1)
        };
        assert!(proves(&text));
        for (at, letter) in text.char_indices() {
            let (before, behind) = (&text[..at], &text[at + letter.len_utf8()..]);
            assert!(!proves(&format!("{before}{behind}")), "without the {letter:?} at {at}");
            assert!(!proves(&format!("{before}{letter}{letter}{behind}")), "{letter:?} at {at} twice");
            for other in ['\n', ' ', '=', '+', '0', '1', 'A', 'B', 'l', '—'] {
                assert!(letter == other || !proves(&format!("{before}{other}{behind}")), "{other:?} for the {letter:?} at {at}");
                assert!(!proves(&format!("{before}{other}{letter}{behind}")), "{other:?} before the {letter:?} at {at}");
            }
        }
        let extra = EntryProof { extra: Some(b"x".to_vec()), index: 0, path: Vec::new(), checkpoint: note };
        assert_eq!(EntryProof::parse(extra.to_string().as_bytes()), Ok(extra));
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "(ephor checkpoint |c2sp.org/tlog-proof@v1|index |extra |[0-9a-f]{1,64}|\n| |=|—){0,30}") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                let _ = Frames::new(bytes).count();
                let _ = EntryProof::parse(bytes);
                let _ = std::str::from_utf8(bytes).map(Checkpoint::parse);
            }
        }

        #[test]
        fn what_is_read_is_written_again(origin in "[a-z./]{1,20}", size in 1u64.., root in any::<[u8; 32]>(), extensions in prop::collection::vec("[a-z ]{1,9}", 0..3)) {
            let checkpoint = Checkpoint { origin, size, root: Hash(root), extensions };
            prop_assert_eq!(Checkpoint::parse(&checkpoint.to_string()), Ok(checkpoint));
        }
    }
}
