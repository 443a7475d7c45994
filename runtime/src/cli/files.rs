//! Archived events: files of lines, plain or gzip, read and checked on a thread of
//! their own.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use ephor::event::Event;
use ephor::ingest::{self, Limits, Lines, Rejection, RejectionKind};
use ephor::ledger::{Kept, KeptEvents};
use ephor::reserved;
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::table;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Events that go from the reading thread together, and how many such groups may wait.
const GROUP_EVENTS: usize = 256;
const GROUPS_MAX: usize = 8;

/// How the files of a folder end that are taken for archived events.
const ENDINGS: [&str; 4] = [".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz"];

/// What the reading thread hands over.
#[derive(Default)]
struct Group {
    events: Vec<Event>,
    rejected: Rejected,
}

/// Lines that are no events, and events that are no more.
#[derive(Debug, Default)]
pub struct Rejected {
    /// Of a data directory: events that are none within these limits.
    pub lines: u64,
    /// File, line and reason of the first one.
    pub first: Option<String>,
    /// Events of a data directory whose content was erased.
    pub erased: u64,
    /// Events of a runtime's own, which are made again wherever the others are judged again.
    pub own: u64,
}

impl Rejected {
    pub fn merge(&mut self, other: Rejected) {
        self.lines += other.lines;
        self.erased += other.erased;
        self.own += other.own;
        self.first = self.first.take().or(other.first);
    }
}

/// Files, one after the other.
pub struct Stream {
    groups: mpsc::Receiver<anyhow::Result<Group>>,
    waiting: VecDeque<Event>,
    pub rejected: Rejected,
    pub ended: bool,
}

impl Stream {
    /// Begins to read. `bar` is told the bytes as they come off the disk. What a runtime
    /// submitted itself is left out, and counted.
    pub fn open(files: Vec<PathBuf>, limits: &Limits, bar: &ProgressBar) -> Self {
        Stream::begin(files, limits, bar, false)
    }

    /// The same with what a runtime submitted itself: for showing events to one policy.
    pub fn of_all(files: Vec<PathBuf>, limits: &Limits, bar: &ProgressBar) -> Self {
        Stream::begin(files, limits, bar, true)
    }

    fn begin(files: Vec<PathBuf>, limits: &Limits, bar: &ProgressBar, takes_own: bool) -> Self {
        let (sender, groups) = mpsc::channel(GROUPS_MAX);
        let (limits, bar) = (limits.clone(), bar.clone());
        // Ends by itself once nobody takes what it reads any more.
        thread::spawn(move || {
            let mut reading = Reading { limits, bar, sender, takes_own, group: Group::default() };
            let done = files.iter().try_for_each(|file| reading.file(file));
            let done = done.and_then(|()| reading.hand_over());
            if let Err(Stop::Failed(error)) = done {
                let _ = reading.sender.blocking_send(Err(error));
            }
        });
        Stream { groups, waiting: VecDeque::new(), rejected: Rejected::default(), ended: false }
    }

    /// The event that comes next, without taking it; nothing once all were taken.
    pub async fn peek(&mut self) -> anyhow::Result<Option<&Event>> {
        while self.waiting.is_empty() && !self.ended {
            match self.groups.recv().await {
                Some(group) => {
                    let Group { events, rejected } = group?;
                    self.rejected.merge(rejected);
                    self.waiting = events.into();
                }
                None => self.ended = true,
            }
        }
        Ok(self.waiting.front())
    }

    /// Takes the next event.
    pub async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        self.peek().await?;
        Ok(self.waiting.pop_front())
    }
}

/// Why the reading thread ends early.
enum Stop {
    Failed(anyhow::Error),
    /// Nobody wants any more.
    Unwanted,
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Stop::Failed(error)
    }
}

struct Reading {
    limits: Limits,
    bar: ProgressBar,
    sender: mpsc::Sender<anyhow::Result<Group>>,
    takes_own: bool,
    group: Group,
}

impl Reading {
    fn file(&mut self, path: &Path) -> Result<(), Stop> {
        if path.is_dir() {
            return self.data(path);
        }
        let mut input = unpacked(path, &self.bar)?;
        let mut lines = Lines::new(self.limits.event_bytes_max);
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let count = match input.read(&mut chunk) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(anyhow::Error::from(error).context(format!("cannot read {}", path.display())).into()),
            };
            if count == 0 {
                let last = lines.finish();
                return last.map_or(Ok(()), |line| self.line(path, lines.number(), line.ok()));
            }
            chunk.truncate(count);
            lines.push(chunk.into());
            while let Some(line) = lines.next() {
                self.line(path, lines.number(), line.ok())?;
            }
        }
    }

    /// What a data directory has kept.
    fn data(&mut self, path: &Path) -> Result<(), Stop> {
        let cannot = || format!("cannot read what is kept in {}", path.display());
        let events = KeptEvents::open(path).with_context(cannot)?;
        let mut left = events.bytes();
        let mut events = events;
        while let Some(event) = events.next() {
            match event.with_context(cannot)? {
                (sequence, Kept::Content(content)) => {
                    self.take(path, &format!("entry {sequence}"), ingest::content(&content, &self.limits))?;
                }
                _ => self.group.rejected.erased += 1,
            }
            let now = events.bytes();
            self.bar.inc(left - now);
            left = now;
        }
        Ok(())
    }

    /// Takes a line; nothing for one that was too long.
    fn line(&mut self, path: &Path, number: u64, line: Option<Bytes>) -> Result<(), Stop> {
        let place = format!("line {number}");
        match line {
            Some(line) if self.takes_own => self.take(path, &place, ingest::any_structured(&line, &self.limits)),
            Some(line) => self.take(path, &place, ingest::structured(&line, &self.limits)),
            None => {
                self.reject(path, &place, &format!("the line has more than {} bytes", self.limits.event_bytes_max));
                Ok(())
            }
        }
    }

    fn reject(&mut self, path: &Path, place: &str, why: &str) {
        let Rejected { lines, first, .. } = &mut self.group.rejected;
        *lines += 1;
        first.get_or_insert_with(|| format!("{}, {place}: {}", path.display(), table::plain(why)));
    }

    fn take(&mut self, path: &Path, place: &str, read: Result<Event, Rejection>) -> Result<(), Stop> {
        match read {
            Ok(event) if !self.takes_own && reserved::is_own_source(event.source()) => self.group.rejected.own += 1,
            Ok(event) => self.group.events.push(event),
            Err(rejection) if rejection.kind == RejectionKind::Reserved => self.group.rejected.own += 1,
            Err(rejection) => self.reject(path, place, &rejection.to_string()),
        }
        if self.group.events.len() < GROUP_EVENTS { Ok(()) } else { self.hand_over() }
    }

    fn hand_over(&mut self) -> Result<(), Stop> {
        self.sender.blocking_send(Ok(std::mem::take(&mut self.group))).map_err(|_| Stop::Unwanted)
    }
}

/// A file's content, expanded if it is gzip, which its first bytes tell.
fn unpacked(path: &Path, bar: &ProgressBar) -> anyhow::Result<Box<dyn Read>> {
    let name = || path.display().to_string();
    let mut file = bar.wrap_read(File::open(path).with_context(|| format!("cannot open {}", name()))?);
    let mut head = Vec::with_capacity(4);
    file.by_ref().take(4).read_to_end(&mut head).with_context(|| format!("cannot read {}", name()))?;
    let packing = head.clone();
    let whole = io::Cursor::new(head).chain(file);
    Ok(match packing[..] {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(whole)),
        [0x28, 0xb5, 0x2f, 0xfd] => bail!("{} is zstd; give it as gzip or plain", name()),
        _ => Box::new(whole),
    })
}

/// The files that a path stands for: itself, or what a folder has, in the order of the
/// names.
pub fn files_of(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let metadata = path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for item in path.read_dir().with_context(|| format!("cannot read {}", path.display()))? {
        let file = item.with_context(|| format!("cannot read {}", path.display()))?.path();
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if file.is_file() && ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            files.push(file);
        }
    }
    ensure!(!files.is_empty(), "{} has no files of events; they end in {}", path.display(), ENDINGS.join(", "));
    files.sort();
    Ok(files)
}

/// A data directory that has kept events.
pub fn data(path: &Path) -> anyhow::Result<PathBuf> {
    ensure!(path.join("FORMAT").is_file(), "{} is no data directory", path.display());
    let is_kept = path.join("events").is_dir();
    ensure!(
        is_kept,
        "{} has kept no events: ledger.events was \"digest\"; give the files that they came from with --events",
        path.display()
    );
    Ok(path.to_path_buf())
}

/// Bytes of files, for a progress bar; nothing if some are no plain files.
pub fn bytes_of<'f>(files: impl IntoIterator<Item = &'f PathBuf>) -> Option<u64> {
    let bytes = |path: &Path| match path.metadata().ok()? {
        metadata if metadata.is_file() => Some(metadata.len()),
        metadata if metadata.is_dir() => Some(KeptEvents::open(path).ok()?.bytes()),
        _ => None,
    };
    files.into_iter().map(|file| bytes(file)).sum()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn event(id: u64) -> String {
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t"}}"#)
    }

    #[tokio::test]
    async fn files_are_read_in_order_plain_or_packed_and_bad_lines_are_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let lines = |ids: std::ops::Range<u64>| ids.map(|id| event(id) + "\n").collect::<String>();
        let plain = lines(0..700) + "broken\n\n" + &event(700);
        std::fs::write(folder.path().join("b.ndjson"), plain).expect("written");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(lines(701..1_000).as_bytes()).expect("packed");
        std::fs::write(folder.path().join("c.ndjson.gz"), packed.finish().expect("packed")).expect("written");
        std::fs::write(folder.path().join("notes.txt"), "mine").expect("written");
        let files = files_of(folder.path()).expect("files");
        assert_eq!(files.len(), 2);
        let bar = ProgressBar::hidden();
        let mut stream = Stream::open(files.clone(), &Limits::default(), &bar);
        for id in 0..1_000 {
            let first = stream.peek().await.expect("readable").expect("an event").id().to_string();
            let event = stream.next().await.expect("readable").expect("an event");
            assert_eq!((event.id(), first), (id.to_string().as_str(), id.to_string()));
        }
        assert!(stream.next().await.expect("readable").is_none() && stream.ended);
        assert_eq!(stream.rejected.lines, 1);
        assert!(stream.rejected.first.expect("a reason").contains("b.ndjson, line 701"));
        assert_eq!(Some(bar.position()), bytes_of(&files));
    }

    #[tokio::test]
    async fn what_a_runtime_submitted_is_left_out_and_counted_or_shown_to_a_policy() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.ndjson");
        let own = event(2).replace("\"/s\"", "\"urn:ephor:verdicts#/s\"");
        std::fs::write(&file, format!("{}\n{own}\n", event(1))).expect("written");
        let (limits, bar) = (Limits::default(), ProgressBar::hidden());
        for (mut stream, expected) in
            [(Stream::open(vec![file.clone()], &limits, &bar), (1, 1)), (Stream::of_all(vec![file.clone()], &limits, &bar), (2, 0))]
        {
            let mut count = 0;
            while stream.next().await.expect("readable").is_some() {
                count += 1;
            }
            assert_eq!((count, stream.rejected.own, stream.rejected.lines), (expected.0, expected.1, 0));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.ndjson");
        assert!(files_of(folder.path()).is_err() && files_of(&file).is_err());
        for content in [&b"\x28\xb5\x2f\xfd"[..], b"\x1f\x8b\x08not gzip"] {
            std::fs::write(&file, content).expect("written");
            let mut stream = Stream::open(vec![file.clone()], &Limits::default(), &ProgressBar::hidden());
            assert!(stream.next().await.is_err(), "{content:?}");
        }
    }
}
