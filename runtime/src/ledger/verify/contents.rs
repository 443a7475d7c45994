//! What is kept of events: held against what their entries say of it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Check, Damage, Entries, Severity};
use crate::ledger::entry::{AboutContent, Entry};
use crate::ledger::kept::{Account, ERASED, Erasure, FOLDER, Kept, KeptEvents, ReadError, is_segment, read_erased};
use crate::ledger::keys::REPLAY;
use crate::ledger::limits::Keep;
use crate::ledger::storage::NEW;

/// The erasures of a log, so that those can be found that are about an event.
struct Erasures<'a> {
    all: &'a [Erasure],
    by_subject: HashMap<&'a str, Vec<&'a Erasure>>,
    by_name: HashMap<(&'a str, &'a str), Vec<&'a Erasure>>,
    /// The one that says of the most events that their time is over.
    expiry: Option<&'a Erasure>,
}

impl<'a> Erasures<'a> {
    fn new(all: &'a [Erasure]) -> Self {
        let (mut by_subject, mut by_name): (HashMap<_, Vec<_>>, HashMap<_, Vec<_>>) = Default::default();
        for erasure in all {
            let entry = &erasure.entry;
            match (entry.subject.as_deref(), entry.source.as_deref(), entry.id.as_deref()) {
                (Some(subject), ..) => by_subject.entry(subject).or_default().push(erasure),
                (None, Some(source), Some(id)) => by_name.entry((source, id)).or_default().push(erasure),
                _ => {}
            }
        }
        let expiry = all.iter().filter(|erasure| erasure.entry.is_expiry()).max_by_key(|erasure| erasure.entry.through);
        Erasures { all, by_subject, by_name, expiry }
    }

    /// The first behind an event that is about it.
    fn of(&self, sequence: u64, source: &str, id: &str, subject: Option<&str>) -> Option<&'a Erasure> {
        let by_subject = subject.and_then(|subject| self.by_subject.get(subject));
        let named = by_subject.into_iter().chain(self.by_name.get(&(source, id))).flatten().copied();
        let covers = |erasure: &&Erasure| erasure.sequence > sequence && erasure.entry.covers(sequence, source, id, subject);
        named.chain(self.expiry).filter(covers).min_by_key(|erasure| erasure.sequence)
    }

    /// Whether the time of an event is over.
    fn expires(&self, sequence: u64) -> bool {
        self.expiry.is_some_and(|expiry| expiry.entry.covers(sequence, "", "", None))
    }

    /// The one with this sequence.
    fn at(&self, sequence: u64) -> Option<&'a Erasure> {
        self.all.binary_search_by_key(&sequence, |erasure| erasure.sequence).ok().map(|at| &self.all[at])
    }
}

/// How often it is looked again where a server has gone on meanwhile.
const ATTEMPTS: u32 = 5;

/// Content that is missing, as far as it is known.
#[derive(Default)]
struct Missing {
    first: u64,
    last: u64,
    events: u64,
}

impl Check<'_> {
    pub(super) fn contents(&mut self) {
        let folder = self.verifier.directory.join(FOLDER);
        let is_there = folder.is_dir();
        if self.report.origin.as_deref().is_some_and(|origin| origin.ends_with(REPLAY)) {
            // What its entries say of keeping is said of another directory.
            if is_there {
                self.find(Severity::Evidence, FOLDER, None, Damage::Unexpected);
            }
            return;
        }
        if !is_there && (self.report.tally.keeps == 0 || self.verifier.without_events) {
            return;
        }
        // A server may be running on the directory: what it erases meanwhile is in entries
        // that were not there a moment ago.
        for attempt in 1..=ATTEMPTS {
            let before = (self.report.findings.len(), self.report.more, self.report.kept, self.report.erased);
            let Some((account, last)) = self.account() else {
                // What is wrong with the journal is found already.
                return self.find(Severity::Evidence, FOLDER, None, Damage::Uncheckable(self.report.entries + 1));
            };
            let done = if is_there { self.files(&folder, &account) } else { 0 };
            if let Err(error) = self.compare(&Erasures::new(&account.erasures), done, is_there) {
                self.find_kept(error);
            }
            let is_clean = self.report.findings.len() == before.0 && self.report.more == before.1;
            if is_clean || attempt == ATTEMPTS || self.account().is_none_or(|(_, now)| now == last) {
                return;
            }
            self.report.findings.truncate(before.0);
            (self.report.more, self.report.kept, self.report.erased) = (before.1, before.2, before.3);
        }
    }

    /// What all entries that are there by now say of content, and the last of them.
    fn account(&self) -> Option<(Account, u64)> {
        let (mut account, mut last) = (Account::default(), 0);
        for entry in Entries::new(&self.verifier.directory, 1) {
            let entry = entry.ok()?;
            if let Some(content) = AboutContent::read(&entry.line).ok()? {
                account.note(entry.sequence, content).ok()?;
            }
            last = entry.sequence;
        }
        Some((account, last))
    }

    /// The entries that the check has read.
    fn entries(&self) -> impl Iterator<Item = Result<(u64, Vec<u8>), Box<super::Finding>>> + use<> {
        let last = self.report.entries;
        let entries = Entries::new(&self.verifier.directory, 1).map(|entry| entry.map(|entry| (entry.sequence, entry.line)));
        entries.take_while(move |entry| entry.as_ref().map_or(true, |(sequence, _)| *sequence <= last))
    }

    /// Strangers in the folder, and how far erasures are carried out.
    fn files(&mut self, folder: &Path, account: &Account) -> u64 {
        let mut done = 0;
        let items = match fs::read_dir(folder) {
            Ok(items) => items,
            Err(error) => {
                self.find(Severity::Evidence, FOLDER, None, Damage::Unreadable(error.to_string()));
                return done;
            }
        };
        for name in items.filter_map(|item| Some(item.ok()?.file_name())) {
            let file = Path::new(FOLDER).join(&name);
            let text = name.to_str().unwrap_or_default();
            if is_segment(text) {
                continue;
            }
            if text.strip_suffix(NEW).is_some_and(|text| text == ERASED || is_segment(text)) {
                // A crash leaves a file on its way.
                self.find(Severity::Unfinished, file, None, Damage::Unexpected);
            } else if text != ERASED {
                self.find(Severity::Evidence, file, None, Damage::Unexpected);
            } else {
                let said = fs::read(folder.join(&name)).ok().and_then(|bytes| read_erased(&bytes));
                let said = said.filter(|said| account.erasures.iter().any(|erasure| erasure.sequence == *said));
                match said {
                    Some(said) => done = said,
                    None => self.find(Severity::Evidence, file, None, Damage::Erased),
                }
            }
        }
        // What came after the journal was read may be under way.
        let read = self.report.entries;
        let behind = account.erasures.iter().find(|erasure| erasure.sequence > done && erasure.sequence <= read);
        if let Some(behind) = behind {
            self.find(Severity::Unfinished, FOLDER, None, Damage::ErasureBehind(behind.sequence));
        }
        done
    }

    /// Goes through entries and contents side by side. Erasures are carried out up to the
    /// entry `done`.
    fn compare(&mut self, erasures: &Erasures<'_>, done: u64, is_there: bool) -> Result<(), ReadError> {
        let read = self.report.entries;
        let mut contents = KeptEvents::open(&self.verifier.directory)?.until(read);
        let mut next = self.next_content(&mut contents);
        let (mut keep, mut missing) = (Keep::Digest, Missing::default());
        let mut arrived = i64::MIN;
        for (sequence, line) in self.entries().map_while(Result::ok) {
            if let Ok(Some(AboutContent::Keep(entry))) = AboutContent::read(&line) {
                keep = entry.keep().unwrap_or(keep);
            }
            while let Some((found, ..)) = next.as_ref().filter(|(found, ..)| *found < sequence) {
                let (found, file) = (*found, contents.file().map(Path::to_path_buf));
                self.find(Severity::Evidence, self.below(file), None, Damage::NotToBeKept(found));
                next = self.next_content(&mut contents);
            }
            let kept = next.take_if(|(found, ..)| *found == sequence);
            if keep == Keep::Digest && kept.is_none() {
                continue;
            }
            let Ok(Entry::Event(event)) = Entry::parse(&line) else {
                // Nothing is kept of what is no event.
                next = kept.or(next);
                continue;
            };
            let erasure = erasures.of(sequence, &event.source, &event.id, event.subject.as_deref());
            let file = self.below(contents.file().map(Path::to_path_buf));
            match &kept {
                Some(_) if keep == Keep::Digest => self.find(Severity::Evidence, file, None, Damage::NotToBeKept(sequence)),
                Some((_, Kept::Content(content))) => {
                    self.report.kept += 1;
                    if content.digest() != event.digest {
                        self.find(Severity::Evidence, file, None, Damage::Content(sequence));
                    } else if let Some(Erasure { sequence: by, .. }) = erasure.filter(|erasure| erasure.sequence <= read) {
                        let severity = if *by > done { Severity::Unfinished } else { Severity::Evidence };
                        self.find(severity, file, None, Damage::NotErased { sequence, by: *by });
                    }
                }
                Some((_, Kept::Erased { by })) => {
                    self.report.erased += 1;
                    let said = erasures.at(*by).filter(|erasure| erasure.sequence > sequence);
                    if !said.is_some_and(|said| said.entry.covers(sequence, &event.source, &event.id, event.subject.as_deref())) {
                        self.find(Severity::Evidence, file, None, Damage::NotToBeErased { sequence, by: *by });
                    }
                }
                None if erasures.expires(sequence) => self.report.erased += 1,
                None => {
                    if missing.events == 0 {
                        missing.first = sequence;
                    }
                    (missing.last, missing.events) = (sequence, missing.events + 1);
                }
            }
            if kept.is_some() {
                // By it the time of events is told.
                arrived = arrived.max(event.arrived.micros());
                if let Some(said) = contents.frame_ended() {
                    if said != arrived {
                        let file = self.below(contents.file().map(Path::to_path_buf));
                        self.find(Severity::Evidence, file, None, Damage::KeptArrival(sequence));
                    }
                    arrived = i64::MIN;
                }
                self.find_missing(std::mem::take(&mut missing), is_there);
                next = self.next_content(&mut contents);
            }
        }
        self.find_missing(missing, is_there);
        if let Some((path, offset)) = contents.torn() {
            let file = self.below(Some(path.to_path_buf()));
            self.find(Severity::Unfinished, file, Some(offset as u64), Damage::KeptTorn);
        } else if next.is_some() {
            // Content is written before its entry.
            let file = self.below(contents.file().map(Path::to_path_buf));
            self.find(Severity::Unfinished, file, None, Damage::KeptTorn);
        }
        Ok(())
    }

    /// The next content; what cannot be read is found, and passed over.
    fn next_content(&mut self, contents: &mut KeptEvents) -> Option<(u64, Kept)> {
        loop {
            match contents.next()? {
                Ok(content) => return Some(content),
                Err(error) => self.find_kept(error),
            }
        }
    }

    fn find_missing(&mut self, missing: Missing, is_there: bool) {
        let Missing { first, last, events } = missing;
        if events > 0 {
            let what = if is_there { Damage::NoContent { first, last, events } } else { Damage::Missing };
            self.find(Severity::Evidence, FOLDER, None, what);
        }
    }

    fn find_kept(&mut self, error: ReadError) {
        match error {
            ReadError::Io { path, source } => {
                self.find(Severity::Evidence, self.below(Some(path)), None, Damage::Unreadable(source.to_string()));
            }
            ReadError::Damaged { path, offset, fault } => {
                self.find(Severity::Evidence, self.below(Some(path)), Some(offset as u64), Damage::Kept(fault));
            }
        }
    }

    /// A path as findings have it.
    fn below(&self, path: Option<PathBuf>) -> PathBuf {
        let path = path.unwrap_or_else(|| FOLDER.into());
        path.strip_prefix(&self.verifier.directory).map(Path::to_path_buf).unwrap_or(path)
    }
}
