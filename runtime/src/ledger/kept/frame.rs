//! Frames: the events of one batch, compressed, and how they are read back.

use std::borrow::Cow;
use std::io;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::{Kept, Packed};
use crate::content::Content;

/// What a frame begins with.
pub(super) const MAGIC: &[u8; 4] = b"EPHK";

const VERSION: u8 = 1;

/// Magic, version, packed and unpacked length (u32), number of items (u32), first and last
/// sequence (u64), latest arrival (i64).
const FIELDS: usize = 4 + 1 + 4 + 4 + 4 + 8 + 8 + 8;

/// The fields and the checksum behind them.
pub(super) const HEADER: usize = FIELDS + 32;

/// How hard zstd tries: the level that costs least and still halves JSON.
const LEVEL: i32 = 1;

/// A frame with so many bytes of items takes no more.
pub(super) const ITEMS_BYTES: usize = 64 << 20;

/// Bytes of items that a frame can have: the last one may be an event of any size.
const ITEMS_BYTES_MAX: usize = ITEMS_BYTES + (256 << 20);

/// Kinds of items.
const ERASED: u8 = 0;
const STRUCTURED: u8 = 1;
const BINARY: u8 = 2;

/// What stands at a place is no whole frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// It ends too early, or something else begins here.
    #[error("no whole frame begins here")]
    None,
    /// Of a later release.
    #[error("a frame of version {0}, which a newer release wrote if it is not damaged")]
    Version(u8),
    /// Its bytes are not those that were written.
    #[error("the frame's checksum does not fit its bytes")]
    Checksum,
    /// Its segment has the name of another.
    #[error("the segment is named for another event than it begins with")]
    Name,
    /// Its bytes are those that were written, and make no sense.
    #[error("the frame's checksum is right, but its content is none; whoever wrote it was faulty")]
    Malformed,
}

/// A whole frame in the bytes of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where it stands.
    pub place: Range<usize>,
    pub first: u64,
    pub last: u64,
    count: usize,
    unpacked: usize,
    /// When the latest of its events arrived, in microseconds since 1970.
    pub arrived: i64,
}

impl Frame {
    /// The frame at a place; nothing where the bytes end.
    pub fn at(bytes: &[u8], offset: usize) -> Option<Result<Self, FrameFault>> {
        let rest = bytes.get(offset..).filter(|rest| !rest.is_empty())?;
        Some(Frame::read(rest, offset))
    }

    fn read(rest: &[u8], offset: usize) -> Result<Self, FrameFault> {
        let (fields, behind) = rest.split_first_chunk::<FIELDS>().ok_or(FrameFault::None)?;
        if !fields.starts_with(MAGIC) {
            return Err(FrameFault::None);
        }
        match fields[4] {
            VERSION => {}
            // No release wrote that: a power cut leaves zeros for what it took.
            0 => return Err(FrameFault::None),
            other => return Err(FrameFault::Version(other)),
        }
        let short = |at: usize| fields[at..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize).ok_or(FrameFault::None);
        let long = |at: usize| fields[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).ok_or(FrameFault::None);
        let (checksum, behind) = behind.split_first_chunk::<32>().ok_or(FrameFault::None)?;
        let packed = behind.get(..short(5)?).ok_or(FrameFault::None)?;
        if checksum != &self::checksum(fields, packed) {
            return Err(FrameFault::Checksum);
        }
        let place = offset..offset + HEADER + packed.len();
        let (first, last, arrived) = (long(17)?, long(25)?, long(33)? as i64);
        let unpacked = short(9)?;
        // Memory is taken for no more than that, whatever anybody wrote here.
        if unpacked > ITEMS_BYTES_MAX {
            return Err(FrameFault::Malformed);
        }
        Ok(Frame { place, first, last, count: short(13)?, unpacked, arrived })
    }

    /// What is in it, in order: sequences, each with what is kept.
    pub fn items(&self, bytes: &[u8]) -> Result<Vec<(u64, Kept)>, FrameFault> {
        let packed = &bytes[self.place.start + HEADER..self.place.end];
        // Its checksum vouches for the length.
        let items = zstd::bulk::decompress(packed, self.unpacked).map_err(|_| FrameFault::Malformed)?;
        let read = read_items(&items, self.count).ok_or(FrameFault::Malformed)?;
        let ends = (read.first().map(|(first, _)| *first), read.last().map(|(last, _)| *last));
        let ordered = read.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if ordered && ends == (Some(self.first), Some(self.last)) { Ok(read) } else { Err(FrameFault::Malformed) }
    }
}

fn checksum(fields: &[u8], packed: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(fields).chain_update(packed).finalize().into()
}

/// All whole frames of a segment, up to the first place where none is.
pub(super) fn frames(bytes: &[u8]) -> impl Iterator<Item = Result<Frame, (usize, FrameFault)>> + '_ {
    let mut at = Some(0);
    std::iter::from_fn(move || {
        let offset = at?;
        let frame = Frame::at(bytes, offset)?;
        at = frame.as_ref().ok().map(|frame| frame.place.end);
        Some(frame.map_err(|fault| (offset, fault)))
    })
}

/// Makes a frame of items.
#[derive(Debug)]
pub(super) struct Packing {
    items: Vec<u8>,
    count: u32,
    ends: Option<(u64, u64)>,
    /// When the latest of them arrived.
    arrived: i64,
}

impl Default for Packing {
    fn default() -> Self {
        Packing { items: Vec::new(), count: 0, ends: None, arrived: i64::MIN }
    }
}

impl Packing {
    /// Adds what is kept of the next event, which arrived then.
    pub fn push(&mut self, sequence: u64, arrived: i64, kept: Packed<'_>) {
        self.arrived = self.arrived.max(arrived);
        self.items.extend_from_slice(&sequence.to_le_bytes());
        match kept {
            Packed::Erased(by) => {
                self.items.push(ERASED);
                self.items.extend_from_slice(&by.to_le_bytes());
            }
            Packed::Content(content) => {
                let parts = content.parts();
                match content {
                    Content::Structured(_) => self.items.push(STRUCTURED),
                    Content::Binary { .. } => {
                        self.items.push(BINARY);
                        self.items.extend_from_slice(&(parts.len() as u32).to_le_bytes());
                    }
                }
                for part in parts {
                    self.items.extend_from_slice(&(part.len() as u32).to_le_bytes());
                    self.items.extend_from_slice(part);
                }
            }
        }
        self.count += 1;
        let first = self.ends.map_or(sequence, |(first, _)| first);
        self.ends = Some((first, sequence));
    }

    /// The first sequence in it; nothing if it is empty.
    pub fn first(&self) -> Option<u64> {
        self.ends.map(|(first, _)| first)
    }

    /// Bytes of what is in it.
    pub fn bytes(&self) -> usize {
        self.items.len()
    }

    /// When the latest of what is in it arrived.
    pub fn arrived(&self) -> i64 {
        self.arrived
    }

    /// Writes the frame, if there is anything in it, and begins another.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let Packing { items, count, ends, arrived } = std::mem::take(self);
        let Some((first, last)) = ends else { return Ok(()) };
        let packed = zstd::bulk::compress(&items, LEVEL)?;
        let unpacked = u32::try_from(items.len()).ok().filter(|_| items.len() <= ITEMS_BYTES_MAX);
        let (Ok(length), Some(unpacked)) = (u32::try_from(packed.len()), unpacked) else {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "an event is larger than can be kept"));
        };
        let begin = out.len();
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        for number in [length, unpacked, count] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [first, last, arrived as u64] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = checksum(&out[begin..], &packed);
        out.extend_from_slice(&checksum);
        out.extend_from_slice(&packed);
        Ok(())
    }
}

/// So many items, if these bytes are they and nothing else.
fn read_items(mut bytes: &[u8], count: usize) -> Option<Vec<(u64, Kept)>> {
    let bytes = &mut bytes;
    let mut items = Vec::new();
    for _ in 0..count {
        let sequence = take_long(bytes)?;
        let kind = bytes.split_off_first()?;
        let kept = match *kind {
            ERASED => Kept::Erased { by: take_long(bytes)? },
            STRUCTURED => {
                let text = str::from_utf8(take_part(bytes)?).ok()?;
                Kept::Content(Content::Structured(Cow::Owned(text.to_string())))
            }
            BINARY => {
                let count = take_short(bytes)?;
                let parts = (0..count).map(|_| take_part(bytes)).collect::<Option<Vec<_>>>()?;
                Kept::Content(Content::of_parts(&parts)?.into_owned())
            }
            _ => return None,
        };
        items.push((sequence, kept));
    }
    bytes.is_empty().then_some(items)
}

fn take_long(bytes: &mut &[u8]) -> Option<u64> {
    bytes.split_off(..8).and_then(|taken| taken.try_into().ok()).map(u64::from_le_bytes)
}

fn take_short(bytes: &mut &[u8]) -> Option<u32> {
    bytes.split_off(..4).and_then(|taken| taken.try_into().ok()).map(u32::from_le_bytes)
}

fn take_part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_short(bytes)?;
    bytes.split_off(..length as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content() -> impl Strategy<Value = Content<'static>> {
        let text = "\\PC{0,40}".prop_map(|text| Content::Structured(text.into()));
        let binary = (prop::collection::vec(("[a-z]{1,8}", "\\PC{0,12}"), 0..5), "\\PC{0,12}", prop::collection::vec(any::<u8>(), 0..40));
        let binary = binary.prop_map(|(attributes, media_type, body)| Content::Binary {
            attributes: attributes.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            media_type: media_type.into(),
            body: body.into(),
        });
        prop_oneof![text, binary]
    }

    fn kept() -> impl Strategy<Value = Vec<(u64, Kept)>> {
        let one = prop_oneof![content().prop_map(Kept::Content), any::<u64>().prop_map(|by| Kept::Erased { by })];
        prop::collection::vec((1..1_000u64, one), 0..20).prop_map(|items| {
            let mut next = 0;
            items
                .into_iter()
                .map(|(step, kept)| {
                    next += step;
                    (next, kept)
                })
                .collect()
        })
    }

    fn pack(items: &[(u64, Kept)], out: &mut Vec<u8>) {
        let mut packing = Packing::default();
        for (sequence, kept) in items {
            packing.push(*sequence, -5 - *sequence as i64, kept.into());
        }
        packing.finish(out).expect("packed");
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out(items in prop::collection::vec(kept(), 0..4)) {
            let mut bytes = Vec::new();
            items.iter().for_each(|items| pack(items, &mut bytes));
            let found: Vec<Frame> = frames(&bytes).map(|frame| frame.expect("whole")).collect();
            let read: Vec<_> = found.iter().map(|frame| frame.items(&bytes).expect("whole")).collect();
            let expected: Vec<_> = items.into_iter().filter(|items| !items.is_empty()).collect();
            prop_assert_eq!(read, expected);
            prop_assert!(found.iter().all(|frame| frame.arrived == -5 - frame.first as i64), "the latest");
            prop_assert_eq!(found.last().map_or(0, |frame| frame.place.end), bytes.len());
        }

        #[test]
        fn every_changed_byte_is_noticed(items in kept(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let mut bytes = Vec::new();
            pack(&items, &mut bytes);
            if !bytes.is_empty() {
                *at.get_mut(&mut bytes) ^= 1 << bit;
                let read = Frame::at(&bytes, 0).expect("bytes").and_then(|frame| frame.items(&bytes));
                prop_assert!(read.is_err(), "{read:?}");
                bytes.truncate(at.index(bytes.len()));
                prop_assert!(Frame::at(&bytes, 0).is_none_or(|frame| frame.is_err()));
            }
        }

        #[test]
        fn zeros_for_what_a_power_cut_took_are_no_other_version(items in kept(), from in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            pack(&items, &mut bytes);
            if !bytes.is_empty() {
                let whole = bytes.clone();
                bytes[from.index(whole.len())..].fill(0);
                let read = Frame::at(&bytes, 0).expect("bytes");
                prop_assert!(bytes == whole || matches!(read, Err(FrameFault::None | FrameFault::Checksum)), "{read:?}");
            }
        }

        #[test]
        fn strangers_bytes_are_no_items(bytes in prop::collection::vec(any::<u8>(), 0..60), count in 0..5usize) {
            // Whatever they are: no panic, and no memory for what they only claim to be.
            let _ = read_items(&bytes, count);
        }
    }
}
