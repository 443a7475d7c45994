//! Leaves marks in its memory, in statics and on the heap, and says what of the
//! marks of earlier calls it finds: nothing may be left.

use std::sync::atomic::{AtomicU64, Ordering};

use ephor_sdk::prelude::*;
use guests::Nothing;

/// Bytes that are marked: as many as the fuel of one event is enough for.
const MARKED: usize = 128 << 10;

static ROWS: AtomicU64 = AtomicU64::new(0);

/// What it sees: nothing that matters.
#[derive(Fields)]
struct Listing<'a> {
    #[field("/data/description", purpose = "Says nothing that matters")]
    #[expect(dead_code, reason = "a policy has at least one field")]
    description: Option<&'a str>,
}

/// What it says.
#[derive(Rules, Clone, Copy)]
enum Rule {
    /// What it found of earlier calls.
    #[rule(id = "left", action = flag, severity = low, legal_basis = "None: this policy is for tests", en = "Row {row} of this instance, {marked} bytes were marked.")]
    Left,
}

struct Remembers;

#[policy(name = "remembers", summary = "Looks for what earlier calls left behind", events = ["retail.*"])]
impl Policy for Remembers {
    type Fields<'a> = Listing<'a>;
    type Settings = Nothing;
    type State = ();
    type Rule = Rule;

    fn configure(_: Nothing) -> Result<Self, SettingsErrors> {
        Ok(Remembers)
    }

    fn evaluate(&self, _: Listing<'_>, (): &mut (), out: &mut Out<Rule>) {
        let row = ROWS.fetch_add(1, Ordering::Relaxed);
        // Memory that has grown is zero: an allocator that asks for zeros takes
        // the host's word for it.
        let mut heap = std::hint::black_box(vec![0u8; MARKED]);
        let marked = heap.iter().filter(|byte| **byte != 0).count();
        out.find(Rule::Left).with("row", row).with("marked", marked as u64);
        heap.fill(0xA5);
        std::hint::black_box(&heap);
    }
}
