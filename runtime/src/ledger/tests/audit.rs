//! A log as an auditor meets it: every byte of a thousand entries counts and is named, and
//! random entries of a large one are proved.

use std::time::Instant;

use super::super::faulty::Random;
use super::super::tree::verify_inclusion;
use super::super::verify::Damage;
use super::*;

/// A size that the environment says, or this one.
fn sized(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, and has to be a number")))
}

/// A thousand entries in several segments, all of them signed.
fn thousand() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Arc::new(Disk::open(folder.path()).expect("a new directory"));
    let mut ledger = Ledger::open_on(disk, folder.path(), 100_000, Durability::Sync, &mut |_| Ok(())).expect("a new ledger");
    for number in 1..=20 {
        assert!(commit(&mut ledger, &[49, 1]).is_ok());
        if number % 5 == 0 {
            ledger.checkpoint().expect("signed");
        }
    }
    folder
}

#[test]
fn tl_08_every_byte_of_a_thousand_entries_counts_and_is_named() {
    let folder = thousand();
    let report = verify(folder.path());
    assert!(report.is_clean() && report.segments > 2, "{report}");
    assert_eq!((report.entries, report.signed, report.tiles), (1_000, 1_000, 3));
    // Every byte, if the environment says 1.
    let step = sized("EPHOR_FLIP_STEP", 0) as usize;
    let opens = || Ledger::open(folder.path(), &Limits::default(), &mut |_| Ok(())).map(drop);
    for file in files(folder.path()) {
        let name = file.strip_prefix(folder.path()).expect("below").to_path_buf();
        let good = fs::read(&file).expect("a file");
        let step = if step > 0 { step } else { (good.len() / 24) | 1 };
        for at in (0..good.len()).step_by(step) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&file, &bad).expect("written");
            let report = Verifier::new(folder.path()).threads(1).run();
            let named =
                report.findings.iter().any(|finding| finding.file == name && finding.offset.is_none_or(|offset| offset <= at as u64));
            assert!(named, "byte {at} of {}: {report}", name.display());
            // What is derived is made again; with anything else there is no start.
            let derived = name.starts_with("tiles") || name == Path::new("checkpoint");
            match opens() {
                Ok(()) => assert!(derived, "started with byte {at} of {} changed", name.display()),
                Err(error) => {
                    let said = error.to_string();
                    assert!(
                        said.contains(&*name.to_string_lossy()) || name == Path::new("ledger.pub"),
                        "byte {at} of {}: {said}",
                        name.display()
                    );
                    assert!(fs::read(&file).expect("a file") == bad, "{}: left as it is", name.display());
                }
            }
            fs::write(&file, &good).expect("written");
        }
    }
    assert!(verify(folder.path()).is_clean());
}

/// The journal's checksums say which commit it was, the tiles which entry.
#[test]
fn tl_08_the_first_entry_that_was_changed_is_named() {
    let folder = thousand();
    let segments = files(&folder.path().join("journal"));
    for sequence in [1u64, 37, 256, 257, 500, 768] {
        let start = format!("{{\"sequence\":{sequence},");
        let holds = |bytes: &Vec<u8>| bytes.windows(start.len()).position(|window| window == start.as_bytes());
        let (segment, good, at) = segments
            .iter()
            .find_map(|file| {
                let bytes = fs::read(file).expect("a segment");
                holds(&bytes).map(|at| (file, bytes, at))
            })
            .expect("the entry is there");
        let mut bad = good.clone();
        bad[at + start.len() + 3] ^= 1;
        fs::write(segment, bad).expect("written");
        let report = verify(folder.path());
        let leaves: Vec<_> = report.findings.iter().filter(|finding| finding.file == Path::new("tiles/0")).collect();
        assert_eq!(leaves.len(), 1, "{report}");
        let place = sequence - 1;
        assert_eq!((&leaves[0].what, leaves[0].offset), (&Damage::Tile(place % 256), Some(place * 32)), "entry {sequence}: {report}");
        let commits = report.findings.iter().any(
            |finding| matches!(finding.what, Damage::Checksum { first, last } if (first..=last).contains(&sequence) && segment.ends_with(&finding.file)),
        );
        assert!(commits, "the commit of entry {sequence}: {report}");
        fs::write(segment, good).expect("written");
    }
    assert!(verify(folder.path()).is_clean());
}

/// So many entries as `EPHOR_AUDIT_ENTRIES` says: a start, and proofs of random ones.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are what a large run is for")]
fn tl_20_random_entries_of_a_large_log_are_proved() {
    let (entries, proofs) = (sized("EPHOR_AUDIT_ENTRIES", 20_000), sized("EPHOR_AUDIT_PROOFS", 400));
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = Ledger::open(folder.path(), &Limits::default(), &mut |_| Ok(())).expect("a new ledger");
    let mut next = 1;
    while next <= entries {
        let mut made = Batch { first: next, ..Batch::default() };
        for sequence in next..(next + 8_192).min(entries + 1) {
            let start = made.lines.len();
            gap(sequence).write(&mut made.lines).expect("short enough");
            made.leaves.push(leaf_hash(&made.lines[start..]));
            made.lines.push(b'\n');
        }
        next += made.leaves.len() as u64;
        ledger.commit([&made].into_iter()).expect("written");
        ledger.checkpoint().expect("signed");
    }
    drop(ledger);

    let begun = Instant::now();
    let ledger = Ledger::open(folder.path(), &Limits::default(), &mut |_| Ok(())).expect("opens");
    let (start, log) = (begun.elapsed(), ledger.log());
    let (checkpoint, _) = log.latest().expect("signed");
    assert_eq!(checkpoint.size, entries);
    let (mut random, mut paths) = (Random(20), Vec::new());
    let begun = Instant::now();
    for _ in 0..proofs {
        let sequence = 1 + random.next() % entries;
        let mut line = String::new();
        log.read_many(&[sequence], |_, text| line = text.to_string()).expect("readable");
        let proof = log.proof(sequence).expect("signed");
        let (proven, _) = proof.verify(line.as_bytes(), log.key(), &[]).expect("holds");
        assert_eq!((&proven, proof.index), (&checkpoint, sequence - 1));
        let other = line.replacen(&format!(":{sequence},"), &format!(":{},", sequence + 1), 1);
        assert!(proof.verify(other.as_bytes(), log.key(), &[]).is_err(), "another entry at {sequence}");
        paths.push((leaf_hash(line.as_bytes()), proof.index, proof.path));
    }
    let proved = begun.elapsed();
    let begun = Instant::now();
    for (leaf, index, path) in &paths {
        assert_eq!(verify_inclusion(leaf, *index, entries, path, &checkpoint.root), Ok(()));
    }
    let walked = begun.elapsed();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim();
    println!(
        "{entries} entries: a start in {start:.1?}; {proofs} entries read, proved and checked twice in {proved:.1?}, their paths alone in \
         {walked:.1?}; the most memory {memory}"
    );
}
