//! The prebuilt module, with a program in it.
//!
//! The module has a small record behind [`MARKER`] in its data: the address of the room
//! for a program, and how long the program is. The room is memory that is zero at the
//! start, so the module does not grow by what is not used; the program becomes one more
//! segment of data. No section but that of the data changes.

use std::fmt;
use std::ops::Range;

use wasmparser::{DataKind, Operator, Parser, Payload};

use crate::program::{MARKER, PROGRAM_BYTES_MAX};

/// The module has no room for a program.
#[derive(Debug)]
pub struct NoSlot(String);

impl fmt::Display for NoSlot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "this module takes no rules: {}", self.0)
    }
}

impl std::error::Error for NoSlot {}

impl From<wasmparser::BinaryReaderError> for NoSlot {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self(error.to_string())
    }
}

/// What is known of the module's data.
#[derive(Default)]
struct Found {
    /// The whole section, with its header.
    section: Range<usize>,
    segments: u32,
    /// The contents of the section behind the number of segments.
    body: Range<usize>,
    /// Where the record is.
    record: Option<usize>,
    /// The number in the section that counts segments ahead, where there is one.
    count: Option<Range<usize>>,
}

/// Puts a program into a prebuilt module.
///
/// # Errors
///
/// If the module is not one that takes rules, or the program is too large for it.
pub fn install(module: &[u8], program: &[u8]) -> Result<Vec<u8>, NoSlot> {
    if program.len() > PROGRAM_BYTES_MAX {
        return Err(NoSlot(format!("there are {} bytes of them, at most {PROGRAM_BYTES_MAX}", program.len())));
    }
    let found = find(module)?;
    let record = found.record.ok_or_else(|| NoSlot("nothing in it is marked as their place".to_owned()))?;
    let address_at = record + MARKER.len();
    let address = module.get(address_at..address_at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    let address = address.ok_or_else(|| NoSlot("their place ends too early".to_owned()))?;

    let mut body = module[found.body.clone()].to_vec();
    let length_at = address_at + 4 - found.body.start;
    body.splice(length_at..length_at + 4, (program.len() as u32).to_le_bytes());
    let mut section = Vec::new();
    unsigned(&mut section, found.segments + 1);
    section.append(&mut body);
    // An active segment of memory 0, at a constant address.
    section.extend([0x00, 0x41]);
    signed(&mut section, address.cast_signed());
    section.push(0x0b);
    unsigned(&mut section, program.len() as u32);
    section.extend(program);

    let mut made = Vec::with_capacity(module.len() + program.len() + 16);
    match &found.count {
        Some(count) => {
            made.extend(&module[..count.start]);
            let mut number = Vec::new();
            unsigned(&mut number, found.segments + 1);
            if number.len() != count.len() {
                return Err(NoSlot("its segments cannot be counted anew".to_owned()));
            }
            made.extend(number);
            made.extend(&module[count.end..found.section.start]);
        }
        None => made.extend(&module[..found.section.start]),
    }
    made.push(0x0b);
    unsigned(&mut made, section.len() as u32);
    made.append(&mut section);
    made.extend(&module[found.section.end..]);
    Ok(made)
}

fn find(module: &[u8]) -> Result<Found, NoSlot> {
    let mut found = Found::default();
    let mut before = 0;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        match &payload {
            Payload::DataCountSection { range, .. } => found.count = Some(range.clone()),
            Payload::DataSection(reader) => {
                found.segments = reader.count();
                let mut first = None;
                for segment in reader.clone() {
                    let segment = segment?;
                    first = first.or(Some(segment.range.start));
                    let places: Vec<usize> = places(segment.data);
                    if places.len() > 1 || !places.is_empty() && found.record.is_some() {
                        return Err(NoSlot("more than one place in it is marked as theirs".to_owned()));
                    }
                    let Some(&place) = places.first() else { continue };
                    let at_constant = match segment.kind {
                        DataKind::Active { memory_index: 0, offset_expr } => {
                            matches!(offset_expr.get_operators_reader().read()?, Operator::I32Const { .. })
                        }
                        _ => false,
                    };
                    if !at_constant {
                        return Err(NoSlot("their place is not in memory from the start".to_owned()));
                    }
                    found.record = Some(segment.range.end - segment.data.len() + place);
                }
                let range = reader.range();
                found.body = first.unwrap_or(range.end)..range.end;
                found.section = before..range.end;
            }
            _ => {}
        }
        if let Some((_, range)) = payload.as_section() {
            before = range.end;
        }
        if let Payload::Version { range, .. } = &payload {
            before = range.end;
        }
    }
    Ok(found)
}

/// Where the marker is in some bytes.
fn places(data: &[u8]) -> Vec<usize> {
    (0..data.len().saturating_sub(MARKER.len() - 1)).filter(|at| data[*at..].starts_with(&MARKER)).collect()
}

/// LEB128.
fn unsigned(out: &mut Vec<u8>, mut number: u32) {
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// LEB128 with a sign.
fn signed(out: &mut Vec<u8>, mut number: i32) {
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 && byte & 0x40 == 0 || number == -1 && byte & 0x40 != 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}
