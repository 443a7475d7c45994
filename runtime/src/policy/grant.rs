//! What a platform lets a publisher see.

use super::manifest::Action;
use super::{Handling, Manifest};
use crate::column::{Cell, Column};

/// What a policy's publisher may see of events, in which form.
///
/// Every field plain: what a platform that develops a policy on its own machine
/// grants itself. There is no other grant yet.
#[derive(Debug, Clone, Copy)]
pub struct Grant(());

impl Grant {
    /// Grants every declared field plain. For development on one machine.
    pub fn development() -> Self {
        Grant(())
    }

    /// The strictest that a finding of the publisher can ask for.
    pub fn action(&self) -> Action {
        Action::Deny
    }

    /// What the platform does with events that a policy of the publisher leaves
    /// undetermined.
    pub fn on_undetermined(&self) -> Handling {
        Handling::default()
    }

    /// Makes the columns that the policy gets to see.
    ///
    /// `rows` gives for each row the cells of all policies; `slots` says which of
    /// them are this policy's fields, in the order of its manifest.
    pub(crate) fn view<'c, 'e: 'c>(
        &self,
        manifest: &Manifest,
        slots: &[usize],
        rows: impl ExactSizeIterator<Item = &'c [Cell<'e>]> + Clone,
    ) -> Granted {
        let columns = manifest
            .fields
            .iter()
            .zip(slots)
            .map(|(field, slot)| {
                let mut column = Column::new(field.kind, rows.len());
                for cells in rows.clone() {
                    column.push(&cells[*slot]);
                }
                column
            })
            .collect();
        Granted { rows: rows.len(), columns }
    }

    /// Appends what the policy gets to see of one row, as bytes that are equal if and
    /// only if it is.
    pub(crate) fn encode(&self, slots: &[usize], cells: &[Cell<'_>], out: &mut Vec<u8>) {
        slots.iter().for_each(|slot| cells[*slot].encode(out));
    }
}

/// Columns that went through the grant. Only these reach the sandbox.
#[derive(Debug)]
pub struct Granted {
    rows: usize,
    columns: Vec<Column>,
}

impl Granted {
    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The columns, in the order of the manifest's fields.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }
}
