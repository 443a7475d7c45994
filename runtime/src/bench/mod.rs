//! Doors into single rooms for the benchmark harness, `ephor bench` and `ephor policy
//! bench`; and how they drive the whole path. Not part of the API.

mod drive;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::column::{Cell, Kind, Row};
use crate::event::Event;
use crate::policy::form::Show;
use crate::policy::manifest::{AskedForm, Field};
use crate::policy::pseudonym::Secret;
use crate::policy::publisher::FieldForm;
use crate::policy::{Grant, Granted, Publisher, Release};
use crate::projection::{Plan, readable};
use crate::reference::List;
use crate::sandbox::{Image, Keys, Limits, LoadError, Loader, Said, Sandbox};
use crate::state::{self, Key};
use crate::verdict::FaultKind;

pub use drive::{Answers, Driven, drive};

pub struct Policy {
    image: Image,
    plan: Plan,
    slots: Vec<usize>,
}

/// The fields of some events.
pub struct Rows<'e> {
    cells: Vec<Cell<'e>>,
    width: usize,
}

impl Policy {
    pub async fn load(worker: &Path, component: &[u8], settings: &[u8], lists: &[Arc<List>]) -> Result<Self, LoadError> {
        let here = |problem: String| LoadError::Worker { problem };
        let sandbox = Sandbox::new(Limits::default()).map_err(|error| here(error.to_string()))?;
        let loader = Loader::new(sandbox, worker.to_path_buf(), None).map_err(|error| here(error.to_string()))?;
        let image = loader.load(None, component, settings, lists).await?;
        let mut plan = Plan::default();
        let slots = plan.add(&image.release().manifest.fields, &Grant::development());
        Ok(Policy { image, plan, slots })
    }

    pub fn project<'e>(&self, events: &'e [Event]) -> Rows<'e> {
        let width = self.plan.width();
        let mut cells = vec![Cell::Absent; width * events.len()];
        for (cells, event) in cells.chunks_mut(width.max(1)).zip(events) {
            self.plan.project(event, cells);
        }
        Rows { cells, width }
    }

    /// The columns that the policy gets to see.
    pub fn view(&self, rows: &Rows<'_>) -> Granted {
        let rows: Vec<Row<'_>> = rows.cells.chunks(rows.width.max(1)).map(|cells| Row::new(&self.slots, cells)).collect();
        Grant::development().view(&self.image.release().manifest, &rows)
    }

    /// Evaluates all rows; returns the number of findings.
    pub fn evaluate(&self, view: &Granted) -> usize {
        let outcome = self.image.evaluate(view, None);
        outcome.said.iter().filter(|(_, said)| matches!(said, Said::Finding(..))).count()
    }

    /// Makes an instance and throws it away.
    pub fn instantiate(&self) -> Result<(), String> {
        self.image.instantiate().map_err(|error| error.to_string())
    }
}

/// A batch as a policy is given it: the events that it is asked about and can read, no key
/// of which has a state yet.
pub struct Prepared {
    view: Granted,
    /// For each row its key, and how many there are.
    keys: Option<(Vec<u32>, usize)>,
    pub rows: u64,
}

/// What judging a batch came to.
#[derive(Debug, Default)]
pub struct Judged {
    pub findings: u64,
    /// Rows without an answer that are the policy's fault.
    pub faults: u64,
    pub fuel: u64,
    pub memory: usize,
    pub took: Duration,
}

impl Policy {
    pub fn release(&self) -> &Release {
        self.image.release()
    }

    pub fn prepare(&self, events: &[Event]) -> Prepared {
        let manifest = &self.image.release().manifest;
        let width = self.plan.width();
        let mut cells: Vec<Cell<'_>> = Vec::with_capacity(width * events.len());
        let (mut rows, mut of_row) = (0, Vec::new());
        let mut keys: HashMap<Key, u32> = HashMap::new();
        for event in events.iter().filter(|event| manifest.asks_about(event.kind())) {
            let begin = cells.len();
            cells.resize(begin + width, Cell::Absent);
            self.plan.project(event, &mut cells[begin..]);
            let row = Row::new(&self.slots, &cells[begin..]);
            if readable(&manifest.fields, row).is_err() {
                cells.truncate(begin);
                continue;
            }
            rows += 1;
            if let Some(keyed) = &manifest.keyed {
                let key = state::key(keyed.key.iter().map(|field| row.field(usize::from(*field))));
                let next = keys.len() as u32;
                of_row.push(*keys.entry(key).or_insert(next));
            }
        }
        // A policy without fields has rows all the same.
        let given: Vec<Row<'_>> = (0..rows).map(|row| Row::new(&self.slots, &cells[row * width..][..width])).collect();
        let view = Grant::development().view(manifest, &given);
        let keys = manifest.keyed.is_some().then_some((of_row, keys.len()));
        Prepared { view, keys, rows: rows as u64 }
    }

    /// Judges a batch; what becomes of the states is thrown away.
    pub fn judge(&self, Prepared { view, keys, .. }: &Prepared) -> Judged {
        let keys = keys.as_ref().map(|(of_row, count)| Keys { of_row: of_row.clone(), states: vec![None; *count] });
        let began = Instant::now();
        let outcome = self.image.evaluate(view, keys);
        let took = began.elapsed();
        let (mut findings, mut faults) = (0, 0);
        for (_, said) in &outcome.said {
            match said {
                Said::Finding(..) => findings += 1,
                Said::Fault(FaultKind::Undecided, _) => {}
                Said::Fault(..) => faults += 1,
            }
        }
        Judged { findings, faults, fuel: outcome.fuel, memory: outcome.memory, took }
    }
}

/// One form, to be carried out on cells.
pub struct Form(Show);

impl Form {
    /// A form as a policy gets it that asks for it, and as the configuration writes it.
    pub fn new(kind: Kind, asked: AskedForm, granted: FieldForm) -> Result<Self, Vec<String>> {
        let field = Field { pointer: "/data/x".into(), kind, required: true, purpose: "measure".into(), form: asked };
        let fields = [(field.pointer.clone(), granted)].into();
        let publisher = Publisher { events: vec!["*".into()], fields, ..Publisher::default() };
        Ok(Form(Grant::of("bench", &publisher, &Secret::development())?.show(&field)))
    }

    /// Reads JSON values and shows them; returns how many have a value.
    pub fn show(&self, kind: Kind, sources: &[String]) -> usize {
        sources.iter().filter(|source| self.0.show(Cell::read(kind, source)) != Cell::Absent).count()
    }
}
