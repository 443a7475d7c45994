//! Doors into single rooms for the benchmark harness. Not part of the API.

use std::path::Path;
use std::sync::Arc;

use crate::column::{Cell, Kind};
use crate::event::Event;
use crate::policy::form::Show;
use crate::policy::manifest::{AskedForm, Field};
use crate::policy::pseudonym::Secret;
use crate::policy::publisher::FieldForm;
use crate::policy::{Grant, Granted, Publisher};
use crate::projection::Plan;
use crate::reference::List;
use crate::sandbox::{Image, Limits, LoadError, Loader, Said, Sandbox};

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
        Grant::development().view(&self.image.release().manifest, &self.slots, rows.cells.chunks(rows.width.max(1)))
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
