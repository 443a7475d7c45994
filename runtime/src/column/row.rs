use super::Cell;

/// What a policy is given of one event: its fields, among all that were taken out of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'c> {
    slots: &'c [usize],
    cells: &'c [Cell<'c>],
}

impl<'c> Row<'c> {
    /// `slots` has for each field of the policy's manifest the place of its cell.
    pub fn new(slots: &'c [usize], cells: &'c [Cell<'c>]) -> Self {
        Row { slots, cells }
    }

    /// A field, by its place in the manifest.
    #[inline]
    pub fn field(&self, field: usize) -> &'c Cell<'c> {
        &self.cells[self.slots[field]]
    }

    /// All fields, in the order of the manifest.
    pub fn fields(self) -> impl Iterator<Item = &'c Cell<'c>> {
        self.slots.iter().map(move |slot| &self.cells[*slot])
    }
}
