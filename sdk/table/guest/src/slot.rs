//! The room for rules, which `ephor_table::author::install` fills.

use std::hint::black_box;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use ephor_table::program::{MARKER, PROGRAM_BYTES_MAX, Program};

/// Zero until it is filled, so that it takes no place in the module. Atomics, because the
/// compiler may not take what they begin with for what they are.
// lint: allow(hidden-memory): nothing is ever written to it; the rules are in it from the start
static ROOM: [AtomicU8; PROGRAM_BYTES_MAX] = [const { AtomicU8::new(0) }; PROGRAM_BYTES_MAX];

/// What is looked for in the module: the order and size of its members are known there.
#[repr(C)]
struct Slot {
    marker: [u8; MARKER.len()],
    room: &'static [AtomicU8; PROGRAM_BYTES_MAX],
    length: AtomicU32,
}

#[used]
static SLOT: Slot = Slot { marker: MARKER, room: &ROOM, length: AtomicU32::new(0) };

/// The rules in this module.
///
/// # Panics
///
/// If there are none, as in the module that `make table` makes.
pub fn program() -> Program {
    let slot = black_box(&SLOT);
    let length = slot.length.load(Ordering::Relaxed) as usize;
    assert!(length > 0 && slot.marker == MARKER, "there are no rules in this module; `ephor policy build` puts those of a file into it");
    let bytes: Vec<u8> = slot.room[..length].iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
    Program::of_bytes(&bytes).expect("the rules in this module are of its own format")
}
