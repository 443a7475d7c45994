//! A data directory whose files were changed: opening it does not panic, nothing that a
//! checkpoint covers is lost unsaid, and what opens is whole.
//!
//! The input is a list of changes: what is done (1 byte), to which file (1 byte), where
//! (2 bytes, from the end of the file if the highest bit is set), and how much or to what
//! (1 byte). The change `sealed` takes a record out of the rest of the input.

use std::path::Path;
use std::sync::OnceLock;

use ephor::ingest;
use ephor::ledger::tree::leaf_hash;
use ephor::ledger::verify::Verifier;
use ephor::ledger::{Keep, Limits};
use ephor::runtime::BuildError;
use ephor::{Runtime, ledger};
use sha2::{Digest as _, Sha256};

use super::folder;

/// A data directory as a crash leaves it: started three times, the last of it not signed yet.
struct Base {
    files: Vec<(String, Vec<u8>)>,
    lines: Vec<String>,
    /// Entries that are signed.
    signed: usize,
}

const CHANGES_MAX: usize = 6;

/// Bytes of a record's header.
const HEADER: usize = 53;

pub fn body(bytes: &[u8]) {
    let base = base();
    let mut files = base.files.clone();
    let mut input = bytes;
    // Of what was changed it may be that nothing can be known.
    let (mut by_hand, mut sealed) = (false, false);
    for _ in 0..CHANGES_MAX {
        let Some((change, rest)) = input.split_first_chunk::<5>() else { break };
        input = rest;
        let [what, file, low, high, value] = *change;
        if files.is_empty() {
            break;
        }
        let file = usize::from(file) % files.len();
        by_hand |= !["journal/", "checkpoint", "tiles/"].iter().any(|part| files[file].0.starts_with(part));
        if what % 12 == 11 {
            sealed = true;
            let (record, rest) = input.split_at(usize::from(value).min(input.len()));
            input = rest;
            append(base, &mut files, low, record);
        } else {
            edit(&mut files, file, what, u16::from_le_bytes([low, high]), value);
        }
    }
    let folder = folder();
    write(folder.path(), &files);
    let before = Verifier::new(folder.path()).threads(1).run();
    let is_as_it_was = |name: &str| files.iter().find(|(file, _)| file == name) == base.files.iter().find(|(file, _)| file == name);
    let knows = is_as_it_was("checkpoints") || is_as_it_was("checkpoint");
    let lines = match open(folder.path()) {
        Ok(runtime) => use_and_close(runtime),
        Err(error) => {
            assert!(by_hand || sealed || !before.is_clean(), "there is nothing to find, and it does not open: {error}");
            return assert!(!error.to_string().is_empty());
        }
    };
    if knows {
        assert!(lines.len() >= base.signed && lines[..base.signed] == base.lines[..base.signed], "what is signed was lost");
    }
    let after = Verifier::new(folder.path()).threads(1).run();
    assert!(by_hand || sealed || after.is_sound(), "what opens is not whole:\n{after}\nbefore:\n{before}");
}

fn edit(files: &mut Vec<(String, Vec<u8>)>, file: usize, what: u8, place: u16, value: u8) {
    let other = files[(file + 1 + usize::from(value)) % files.len()].1.clone();
    let bytes = &mut files[file].1;
    let at = usize::from(place & 0x7fff);
    let at = if place & 0x8000 == 0 { at } else { bytes.len().saturating_sub(at) }.min(bytes.len());
    let end = (at + usize::from(value)).min(bytes.len());
    match what % 12 {
        0 if at < bytes.len() => bytes[at] = value,
        1 if at < bytes.len() => bytes[at] ^= 1 << (value % 8),
        2 => bytes.truncate(at),
        3 => drop(bytes.splice(at..at, std::iter::repeat_n(value, 3))),
        4 => drop(bytes.drain(at..end)),
        5 => bytes[at..end].fill(0),
        // A piece once more, as of a block that was written twice.
        6 => bytes.extend_from_within(at..end),
        7 => {
            files.remove(file);
        }
        // A file in the place of another.
        8 => *bytes = other,
        9 => bytes.extend_from_slice(&other[..other.len().min(usize::from(value) * 16)]),
        // All that was to come after a crash is zeros.
        10 => bytes[at..].fill(0),
        _ => {}
    }
}

/// Puts a record at the journal's end that whoever wrote it has sealed as it should be: its
/// lines are entries that are there or what the input says, its states are the input's.
fn append(base: &Base, files: &mut [(String, Vec<u8>)], which: u8, input: &[u8]) {
    let is_segment = |(name, _): &&(String, Vec<u8>)| name.starts_with("journal/");
    let Some((_, last)) = base.files.iter().rfind(is_segment) else { return };
    let (mut at, mut before) = (0, [0; 32]);
    while let Some(header) = last.get(at..at + HEADER) {
        before.copy_from_slice(&header[21..]);
        at += HEADER + u32::from_le_bytes([header[5], header[6], header[7], header[8]]) as usize;
    }
    let next = base.lines.len() as u64 + 1;
    let line = match base.lines.get(usize::from(which / 2)) {
        Some(line) if which.is_multiple_of(2) => {
            line.split_once(',').map(|(_, rest)| format!("{{\"sequence\":{next},{rest}")).unwrap_or_default().into_bytes()
        }
        _ => input.iter().copied().take_while(|byte| *byte != 0).filter(|byte| *byte != b'\n').collect(),
    };
    let states = input.iter().position(|byte| *byte == 0).map_or(&[][..], |end| &input[end + 1..]);
    let (count, states) = states.split_first().map_or((0, states), |(count, states)| (u32::from(*count), states));
    let lines = [&line[..], b"\n"].concat();
    let states = [&(states.len() as u32 + 4).to_le_bytes()[..], &count.to_le_bytes(), states].concat();
    let payload = [&(lines.len() as u32).to_le_bytes()[..], &lines, &states].concat();
    let fields = [b"EPHB\x01", &(payload.len() as u32).to_le_bytes()[..], &next.to_le_bytes(), &1u32.to_le_bytes()].concat();
    let hasher = Sha256::new().chain_update(before).chain_update(&fields).chain_update((lines.len() as u32).to_le_bytes());
    let checksum = hasher.chain_update(leaf_hash(&line).as_bytes()).chain_update(&states).finalize();
    let record = [&fields[..], &checksum, &payload].concat();
    if let Some((_, last)) = files.iter_mut().rfind(|(name, _)| name.starts_with("journal/")) {
        last.extend_from_slice(&record);
    }
}

fn open(directory: &Path) -> Result<Runtime, BuildError> {
    let limits = Limits { events: Keep::Full, checkpoint_ms: 3_600_000, ..Limits::default() };
    Runtime::builder().worker("/nowhere").data(directory).ledger(limits).replays(Some(1_800_000_000_000_000)).build()
}

/// The lines that are there; then an event more is recorded, and all of it signed.
fn use_and_close(runtime: Runtime) -> Vec<String> {
    let log: &ledger::Log = runtime.log().expect("a log");
    let lines = log.entries(1).map(|line| line.unwrap_or_else(|error| panic!("what was opened cannot be read: {error}")).1).collect();
    block_on(async {
        let judged = match runtime.submit(vec![event(1_000)]).await {
            Ok(pending) => pending.await.is_ok(),
            Err(_) => false,
        };
        assert!(judged || runtime.failure().is_some(), "neither judged nor failed");
        runtime.close().await;
    });
    lines
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an executor").block_on(work)
}

fn event(id: u64) -> ephor::event::Event {
    let text =
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"/shop","type":"order","subject":"s{}","data":{{"n":{id}}}}}"#, id % 3);
    let event = ingest::structured(text.as_bytes(), &ingest::Limits::default()).expect("an event");
    event.with_arrival(1_800_000_000_000_000 + id as i64)
}

fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let folder = folder();
        // The same key each time, so that all bytes are.
        std::fs::write(folder.path().join("FORMAT"), "ephor data 1\n").expect("written");
        std::fs::write(folder.path().join("ledger.key"), format!("{}\n", "07".repeat(32))).expect("written");
        for run in 0..3 {
            let runtime = open(folder.path()).expect("opens");
            let made = block_on(async {
                for id in run * 4..run * 4 + 4 {
                    runtime.submit(vec![event(id), event(id + 100)]).await.expect("taken").await.expect("recorded");
                }
                let log: &ledger::Log = runtime.log().expect("a log");
                let lines = log.entries(1).map(|line| line.expect("readable").1).collect();
                let signed = log.latest().map_or(0, |(checkpoint, _)| checkpoint.size as usize);
                let made = Base { files: read(folder.path(), folder.path()), lines, signed };
                runtime.close().await;
                made
            });
            if run == 2 {
                assert!(made.signed > 0 && made.signed < made.lines.len());
                return made;
            }
        }
        unreachable!("three times")
    })
}

fn read(root: &Path, folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(read(root, &path));
        } else {
            let name = path.strip_prefix(root).expect("below").to_str().expect("UTF-8").to_string();
            files.push((name, std::fs::read(&path).expect("readable")));
        }
    }
    files.sort();
    files
}

fn write(folder: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }
}
