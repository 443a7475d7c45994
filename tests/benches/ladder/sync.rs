//! What the disk that `target` is on takes for a sync, in the same run as what waits for it.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use ephor_tests::target_dir;

/// Appends of one measurement.
const APPENDS: usize = 200;

/// What is appended: the least that a ledger would write.
const BYTES: [u8; 4_096] = [0x5a; 4_096];

/// The median of appending 4 KiB to a file and syncing them, as the ledger does it
/// (`fdatasync`).
pub(crate) fn median() -> Duration {
    let folder = target_dir().join("bench-data");
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("sync");
    let mut file = File::create(&path).expect("a file");
    let times: Vec<Duration> = (0..APPENDS)
        .map(|_| {
            let begin = Instant::now();
            file.write_all(&BYTES).and_then(|()| file.sync_data()).expect("the disk takes it");
            begin.elapsed()
        })
        .collect();
    let _ = std::fs::remove_file(path);
    crate::median(times)
}
