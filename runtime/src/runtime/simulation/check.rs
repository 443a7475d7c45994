//! What comes out of the runtime, held against the model.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::machine::ask;
use super::model::Due;
use super::{Expected, Question, Run, Waiting};
use crate::column::Cell;
use crate::digest::Digest;
use crate::ledger::entry::Entry;
use crate::ledger::faulty::{Faulty, lay_out};
use crate::ledger::tree::verify_consistency;
use crate::ledger::verify::Verifier;
use crate::ledger::{Answer, Durability, Hash, Refusal, leaf_hash};
use crate::runtime::{EraseError, Judged, RawEventError, Swap};
use crate::sandbox::LoadError;
use crate::state::{self, Key};
use crate::stats::VerdictLabel;
use crate::verdict::{Decision, Verdict};

/// The key of a state of `count`.
pub(super) fn key(who: &str) -> Key {
    state::key([Cell::Text(Cow::Borrowed(who))].iter())
}

/// An entry in the words of the model.
fn described(line: &str) -> String {
    let entry = Entry::parse_canonical(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"));
    let sequence = |text: String| format!("{}{text}", line.trim_start_matches("{\"sequence\":").split(',').next().unwrap_or_default());
    match &entry {
        Entry::Event(event) => {
            let asked: String = event
                .asked
                .iter()
                .map(|asked| {
                    let fault = asked.fault.as_ref().map_or("-", |fault| fault.kind.name());
                    let found = u8::from(!asked.findings.is_empty());
                    format!("{} {} {} {found} {fault};", &*asked.policy, &*asked.release, asked.mode.name())
                })
                .collect();
            let without: String = event.without.iter().map(|policy| format!(" without {}", &**policy)).collect();
            let late = if event.late { " late" } else { "" };
            let (source, id, verdict, digest) = (&*event.source, &*event.id, event.verdict.name(), event.digest.short());
            sequence(format!(" event {source} {id} {digest}{late} {verdict} [{asked}]{without}"))
        }
        Entry::Gap(_, gap) => sequence(format!(" gap {} {} {} {}", &*gap.source, gap.after, gap.before, gap.missing)),
        Entry::Change(_, change) => {
            let what = format!("{:?}", change.what).to_lowercase();
            let (replaced, state) = (change.replaced.as_deref().unwrap_or("-"), change.state.as_deref().unwrap_or("none"));
            let mode = change.mode.name();
            sequence(format!(" change {what} {} {} {mode} {replaced} {state}", &*change.policy, &*change.release))
        }
        Entry::Start(..) => sequence(" start".into()),
        Entry::Keep(_, keep) => sequence(format!(" keep {}", *keep.events != *"digest")),
        Entry::Erasure(..) => sequence(" erasure".into()),
        Entry::Silence(_, silence) => sequence(format!(" silence {}", &*silence.source)),
        Entry::Timer(..) | Entry::Configuration(..) => panic!("nobody asked for it: {line}"),
    }
}

/// What somebody is told, in the words of the model.
fn told(verdict: &Verdict) -> String {
    let findings: Vec<&str> = verdict.findings.iter().map(|finding| finding.release.policy()).collect();
    let faults: Vec<String> = verdict.faults.iter().map(|fault| format!("{} {}", fault.release.policy(), fault.kind.name())).collect();
    format!("{} {findings:?} {faults:?}", verdict.decision.name())
}

/// RFC 6962, section 2.1, as it is written there.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash(Sha256::digest([]).into()),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            Hash(Sha256::new_with_prefix([1]).chain_update(root(left).0).chain_update(root(right).0).finalize().into())
        }
    }
}

impl Run {
    /// Whoever was answered was answered what they had to be.
    pub(super) fn look_at_answers(&mut self) {
        for mut waiting in std::mem::take(&mut self.waiting) {
            let is_open = match &mut waiting.asked {
                Question::Events(asked) => ask(asked).map(|answer| self.is_answered(answer.ok(), &waiting.due)).is_none(),
                Question::Orders(asked) => ask(asked).map(|answer| self.is_changed(answer, &waiting.due)).is_none(),
                Question::Look(asked) => ask(asked).map(|answer| self.is_shown(answer, &waiting.due)).is_none(),
                Question::Erase(asked) => ask(asked).map(|answer| self.is_erased(answer, &waiting.due)).is_none(),
                Question::Restore(asked) => ask(asked).map(|answer| assert!(answer.is_ok() || self.is_troubled, "{answer:?}")).is_none(),
            };
            if is_open {
                self.waiting.push(waiting);
            }
        }
        // It cannot end before that any more.
        self.before = self.before.split_off(&self.promised());
    }

    /// The last entry that has to outlive a power cut.
    fn promised(&self) -> u64 {
        match self.settings.ledger.durability {
            Durability::Sync => self.acknowledged,
            Durability::Os => self.seen.as_ref().map_or(0, |(size, ..)| *size),
        }
    }

    /// Somebody was told of an entry.
    fn acknowledge(&mut self, sequence: u64) {
        let durable = *self.machine.runtime().durable().borrow();
        assert!(sequence <= durable, "entry {sequence} was answered for, and {durable} is the last that is durable");
        self.acknowledged = self.acknowledged.max(sequence);
        self.counts.answers += 1;
    }

    fn is_answered(&mut self, judged: Option<Judged>, due: &Option<(Expected, u64)>) {
        let Some(judged) = judged else {
            return assert!(self.is_troubled || self.machine.is_failed(), "events were given up, and nothing was wrong");
        };
        let Some((Expected::Answers(dues), _)) = due else { panic!("answered, and not judged") };
        assert_eq!(dues.len(), judged.answers.len());
        for ((due, answer), event) in dues.iter().zip(&judged.answers).zip(&judged.events) {
            let context = || format!("{due:?} was due to {} {}, and came: {answer:?}", event.source(), event.id());
            match (due, answer) {
                (Due::Judged(sequence, text), Answer::Judged(recorded)) => {
                    assert_eq!((*sequence, text.as_str()), (recorded.sequence(), &*told(recorded.get())), "{}", context());
                }
                (Due::Again(sequence) | Due::Outside(Some(sequence)), Answer::Again(recorded)) => {
                    assert_eq!(*sequence, recorded.sequence(), "{}", context());
                    let at = *sequence as usize - 1;
                    assert_eq!(described(recorded.get()), self.expected[at], "the recorded verdict");
                    assert!(self.lines.get(at).is_none_or(|line| **line == **recorded.get()), "byte for byte");
                }
                (Due::Reused(sequence) | Due::Outside(Some(sequence)), Answer::Refused(Refusal::IdReused { sequence: other, .. })) => {
                    assert_eq!(sequence, other, "{}", context());
                }
                (Due::Outside(_), Answer::Refused(Refusal::OutsideHorizon { .. })) => {}
                _ => panic!("{}", context()),
            }
            if let Some(sequence) = answer.sequence() {
                self.acknowledge(sequence);
            }
        }
    }

    fn is_changed(&mut self, done: Result<Vec<Swap>, LoadError>, due: &Option<(Expected, u64)>) {
        let done = match done {
            Err(LoadError::Stopped) => return assert!(self.is_troubled, "a change was given up, and nothing was wrong"),
            Ok(swaps) => Ok(swaps),
            Err(LoadError::NotInForce { .. }) => Err("not-in-force"),
            Err(LoadError::NoCandidate { .. }) => Err("no-candidate"),
            Err(LoadError::State { .. }) => Err("state"),
            Err(other) => panic!("{other}"),
        };
        let Some((Expected::Orders(due), last)) = due else { panic!("answered, and not carried out") };
        match (&done, due) {
            (Ok(swaps), Ok(due)) => assert_eq!(&swaps.iter().map(|swap| swap.state.name()).collect::<Vec<_>>(), due),
            (Err(error), Err(due)) => assert!(due.contains(error), "{error}, and {due:?} would do"),
            _ => panic!("{done:?}, and {due:?} was due"),
        }
        for (nth, swap) in done.iter().flatten().rev().enumerate() {
            assert_eq!(swap.sequence, last + 1 - nth as u64, "it takes effect behind its entry");
            self.acknowledge(swap.sequence - 1);
        }
    }

    fn is_shown(&mut self, state: Result<Option<Vec<u8>>, String>, due: &Option<(Expected, u64)>) {
        match (state, due) {
            (Ok(state), Some((Expected::State(due), _))) => {
                let text = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                assert_eq!(text(&state), text(due), "what is remembered of a key");
            }
            (Err(error), _) => assert!(self.is_troubled, "{error}"),
            (Ok(_), _) => panic!("shown, and not looked for"),
        }
    }

    fn is_erased(&mut self, done: Result<crate::runtime::Erased, EraseError>, due: &Option<(Expected, u64)>) {
        match (done, due) {
            (Ok(erased), Some((Expected::Erased(sequence, events), _))) => {
                assert_eq!(erased.sequence, *sequence);
                assert!(erased.events == *events || self.is_troubled, "{erased:?}, and {events} were to be");
                self.acknowledge(*sequence);
            }
            (Err(error), _) => assert!(self.is_troubled, "{error}"),
            (Ok(_), _) => panic!("erased, and not recorded"),
        }
    }

    /// What was signed before is the beginning of what is signed now.
    pub(super) fn look_at_checkpoint(&mut self) {
        let Some(log) = self.machine.runtime().log() else { return };
        let Some((checkpoint, note)) = log.latest() else {
            return assert!(self.seen.is_none(), "a checkpoint that was seen is gone");
        };
        let (size, root) = (checkpoint.size, checkpoint.root);
        if let Some((old, old_root, _)) = &self.seen {
            if *old == size {
                return assert_eq!(*old_root, root, "two checkpoints of {size} entries");
            }
            assert!(*old < size, "{old} entries were signed, and now {size}");
            let proof = log.consistency(*old, size).expect("a proof");
            verify_consistency(*old, size, old_root, &root, &proof).expect("the log extends what was seen");
        }
        assert!(size <= *self.machine.runtime().durable().borrow(), "what is not durable is signed");
        self.seen = Some((size, root, note.to_string().into_bytes()));
        self.counts.checkpoints += 1;
    }

    /// The entries are those that there have to be.
    pub(super) fn look_at_entries(&mut self) {
        let log = self.machine.runtime().log().expect("there is a ledger").clone();
        for item in log.entries(self.lines.len() as u64 + 1) {
            let Ok((sequence, line)) = item else {
                return assert!(self.is_armed, "an entry cannot be read");
            };
            let found = described(&line);
            let due = self.expected.get(self.lines.len()).map_or("nothing", String::as_str);
            assert_eq!(found, due, "entry {sequence}, {line}");
            self.lines.push(line);
        }
    }

    /// What is counted is what was said.
    pub(super) fn look_at_figures(&mut self, is_batch: bool) {
        let stats = self.machine.runtime().stats();
        for decision in Decision::ALL {
            let counted = stats.events.get_or_create(&VerdictLabel { verdict: decision.name() }).get();
            assert_eq!(counted, self.model.verdicts.get(decision.name()).copied().unwrap_or_default(), "{}", decision.name());
        }
        if is_batch {
            assert_eq!(stats.missing.get(), self.model.missing() as i64, "events that are missing");
            assert_eq!(stats.state_keys.get(), self.model.keys() as i64, "keys with a state");
        }
    }

    /// The content of an event is what was sent, as long as it is kept.
    pub(super) fn look_at_content(&mut self) {
        let erasing = self.waiting.iter().any(|Waiting { asked, .. }| matches!(asked, Question::Erase(_)));
        if self.is_troubled || erasing || self.acknowledged == 0 {
            return;
        }
        let sequence = 1 + self.random.below(self.acknowledged as usize) as u64;
        self.look_at_one(sequence);
    }

    /// The same of all that is kept.
    pub(super) fn look_at_all_content(&self) {
        if !self.is_troubled {
            self.model.contents.keys().for_each(|sequence| self.look_at_one(*sequence));
        }
    }

    fn look_at_one(&self, sequence: u64) {
        let Some(content) = self.model.contents.get(&sequence) else { return };
        match (self.machine.runtime().raw_event(sequence), content.erased) {
            (Ok(raw), None) => assert_eq!(raw.content.digest(), Digest::of(content.text.as_bytes())),
            // One that the disk did not let be carried out leaves it to the next that covers it.
            (Err(RawEventError::Erased { by, .. }), Some(erased)) => {
                assert!(by >= erased, "entry {sequence}: by {by}, and {erased} was first");
            }
            (found, erased) => panic!("entry {sequence}: erased by {erased:?}, and {found:?}"),
        }
    }

    /// Another process has taken up what was there: nothing of it that somebody was told
    /// of is lost, and nothing is there by half.
    pub(super) fn look_at_recovery(&mut self, was_cut: bool) {
        let log = self.machine.runtime().log().expect("there is a ledger").clone();
        let size = log.size();
        if was_cut {
            self.acknowledged = self.acknowledged.min(self.promised());
            if self.settings.ledger.durability == Durability::Os {
                self.lines.truncate(size as usize);
            }
        }
        assert!(size >= self.acknowledged, "entry {} was answered for, and there are {size}", self.acknowledged);
        let Some(model) = self.before.get(&size) else {
            panic!("it ends with entry {size}, in the middle of a batch; {:?} would do", self.before.keys().collect::<Vec<_>>());
        };
        self.model = model.clone();
        self.before.retain(|last, _| *last == size);
        self.expected.truncate(size as usize);
        assert!(self.lines.len() as u64 <= size, "entry {} was read, and there are {size}", self.lines.len());
        let was_read = self.lines.len();
        if !self.is_armed {
            let again: Vec<String> = log.entries(1).take(was_read).map(|item| item.expect("readable").1).collect();
            assert!(again == self.lines, "entries have changed");
        }
        self.look_at_entries();
        self.look_at_checkpoint();
        if let Some((size, signed, _)) = &self.seen
            && let Some(lines) = self.lines.get(..*size as usize)
        {
            let leaves: Vec<Hash> = lines.iter().map(|line| leaf_hash(line.as_bytes())).collect();
            assert_eq!(root(&leaves), *signed, "the root of {size} entries");
        }
    }

    /// An auditor looks at the files.
    pub(super) fn audit(&self, disk: &Faulty) {
        let folder = tempfile::tempdir().expect("a folder");
        lay_out(disk, folder.path()).expect("written");
        let mut verifier = Verifier::new(folder.path()).threads(1);
        if let Some((_, _, note)) = &self.seen {
            verifier = verifier.since("seen", note.clone());
        }
        let report = verifier.run();
        assert!(report.is_sound(), "{report}");
        assert!(report.entries >= self.promised(), "{report}");
    }
}
