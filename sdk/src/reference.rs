//! Look-ups in reference lists.

use crate::declaration::{Declared, equal};
use crate::fields::{Texts, bit};
use crate::wit::ephor::policy::columns;

/// A reference list that a policy names in `#[policy(lists = […])]`.
///
/// Each look-up is one call of the host, however many keys it has; ask for all
/// keys of a row at once. Keys are compared byte by byte.
#[derive(Clone, Copy, Debug)]
pub struct List(u16);

impl List {
    /// The list of this name of a policy. Meant for constants, where a name
    /// that the policy does not declare is refused when it is compiled:
    /// `const LICENCES: List = List::of::<Shop>("licences");`.
    ///
    /// # Panics
    ///
    /// If the policy does not declare a list of this name.
    #[must_use]
    pub const fn of<P: Declared>(name: &str) -> Self {
        let lists = P::DECLARATION.lists;
        let mut index = 0;
        while (index as usize) < lists.len() {
            if equal(lists[index as usize], name) {
                return Self(index);
            }
            index += 1;
        }
        panic!("the policy declares no list of this name in `#[policy(lists = […])]`");
    }

    /// Whether the list has the key.
    #[must_use]
    pub fn contains(self, key: &str) -> bool {
        self.contains_many(&[key])[0]
    }

    /// For each key whether the list has it.
    #[must_use]
    pub fn contains_many(self, keys: &[&str]) -> Vec<bool> {
        let found = host::contains_many(self.0, &texts(keys));
        (0..keys.len()).map(|row| bit(&found, row)).collect()
    }

    /// The value that the list has for the key.
    #[must_use]
    pub fn get(self, key: &str) -> Option<String> {
        self.get_many(&[key]).pop().flatten()
    }

    /// For each key the value that the list has for it.
    #[must_use]
    pub fn get_many(self, keys: &[&str]) -> Vec<Option<String>> {
        let found = host::get_many(self.0, &texts(keys));
        let values = Texts::of(&found);
        (0..keys.len()).map(|row| bit(&found.present, row).then(|| values.at(row).to_owned())).collect()
    }
}

fn texts(keys: &[&str]) -> columns::Texts {
    let keys: Vec<_> = keys.iter().copied().map(Some).collect();
    column(&keys)
}

/// Lays texts out as a column.
///
/// # Panics
///
/// If they have 4 GiB or more, which no host lets a policy have.
pub(crate) fn column<T: AsRef<str>>(rows: &[Option<T>]) -> columns::Texts {
    let mut column =
        columns::Texts { present: vec![0; rows.len().div_ceil(8)], offsets: Vec::with_capacity(rows.len() + 1), text: String::new() };
    column.offsets.push(0);
    for (row, text) in rows.iter().enumerate() {
        if let Some(text) = text {
            column.present[row / 8] |= 1 << (row % 8);
            column.text.push_str(text.as_ref());
        }
        let end = u32::try_from(column.text.len()).expect("the texts have less than 4 GiB");
        column.offsets.push(end);
    }
    column
}

#[cfg(not(target_family = "wasm"))]
use crate::testing::lists as host;
#[cfg(target_family = "wasm")]
use crate::wit::ephor::policy::reference as host;
