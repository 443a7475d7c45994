//! Look-ups in reference lists.

use std::cell::RefCell;

use crate::declaration::{Declared, equal};
use crate::fields::{Texts, bit};
use crate::wit::ephor::policy::columns;

/// A reference list that a policy names in `#[policy(lists = […])]`.
///
/// Keys are compared byte by byte.
///
/// A look-up is one call of the host, however many keys it has. What a policy names
/// in [`Policy::look_up`](crate::Policy::look_up) is looked up for all rows of a
/// batch in one call; [`Self::contains`] and [`Self::get`] then only read the answer.
///
/// There are no lists in `configure`: a list may be replaced while the policy stays
/// configured, so nothing that is configured may depend on one.
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

    /// The list with this index in the manifest, where no `#[policy]` declares it.
    #[doc(hidden)]
    #[must_use]
    pub const fn nth(index: u16) -> Self {
        Self(index)
    }

    /// Whether the list has the key.
    #[must_use]
    pub fn contains(self, key: &str) -> bool {
        let known = KNOWN.with_borrow(|known| known.find(self, key, |list, at| Some(bit(list.found.present(), at))));
        known.unwrap_or_else(|| self.contains_many(&[key])[0])
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
        let known = KNOWN.with_borrow(|known| {
            known.find(self, key, |list, at| match &list.found {
                Found::Keys(_) => None,
                Found::Values(values) => Some(bit(&values.present, at).then(|| Texts::of(values).at(at).to_owned())),
            })
        });
        known.unwrap_or_else(|| self.get_many(&[key]).pop().flatten())
    }

    /// For each key the value that the list has for it.
    #[must_use]
    pub fn get_many(self, keys: &[&str]) -> Vec<Option<String>> {
        let found = host::get_many(self.0, &texts(keys));
        let values = Texts::of(&found);
        (0..keys.len()).map(|row| bit(&found.present, row).then(|| values.at(row).to_owned())).collect()
    }
}

/// Takes what the rows of a batch are going to look up, row by row.
#[derive(Debug, Default)]
pub struct Ask {
    row: usize,
    lists: Vec<Asked>,
}

#[derive(Debug)]
struct Asked {
    list: u16,
    values: bool,
    /// For each row that has been turned to where its keys begin, and where the last end.
    begins: Vec<u32>,
    /// Where each key ends in `text`, behind a zero.
    offsets: Vec<u32>,
    text: String,
}

impl Ask {
    /// The row will ask whether the list has this key.
    pub fn contains(&mut self, list: List, key: &str) {
        self.ask(list, key, false);
    }

    /// The row will ask for the value that the list has for this key.
    pub fn get(&mut self, list: List, key: &str) {
        self.ask(list, key, true);
    }

    fn ask(&mut self, List(list): List, key: &str, values: bool) {
        let known = self.lists.iter().position(|asked| asked.list == list && asked.values == values);
        let at = known.unwrap_or_else(|| {
            self.lists.push(Asked { list, values, begins: Vec::new(), offsets: vec![0], text: String::new() });
            self.lists.len() - 1
        });
        let asked = &mut self.lists[at];
        asked.reach(self.row);
        asked.text.push_str(key);
        asked.offsets.push(asked.text.len() as u32);
    }

    /// What comes next is asked by this row.
    #[doc(hidden)]
    #[inline]
    pub const fn turn_to(&mut self, row: usize) {
        self.row = row;
    }

    /// Looks everything up, one call of the host for each list. The answers are known to
    /// this thread until the result is dropped.
    #[doc(hidden)]
    #[must_use]
    pub fn answered(self, rows: usize) -> impl Drop + use<> {
        struct Forget;

        impl Drop for Forget {
            fn drop(&mut self) {
                KNOWN.take();
            }
        }

        let lists = self.lists.into_iter().map(|mut asked| {
            asked.reach(rows);
            let Asked { list, values, begins, offsets, text } = asked;
            let count = offsets.len() - 1;
            let mut present = vec![0xff; count.div_ceil(8)];
            if let Some(last) = present.last_mut().filter(|_| count % 8 != 0) {
                *last = (1 << (count % 8)) - 1;
            }
            let keys = columns::Texts { present, offsets, text };
            let found = if values { Found::Values(host::get_many(list, &keys)) } else { Found::Keys(host::contains_many(list, &keys)) };
            KnownList { list, begins, keys, found }
        });
        let known = Known { row: 0, lists: lists.collect() };
        KNOWN.set(known);
        Forget
    }
}

impl Asked {
    /// Has the keys of all rows before this one end here, and its own begin.
    fn reach(&mut self, row: usize) {
        let begin = (self.offsets.len() - 1) as u32;
        while self.begins.len() <= row {
            self.begins.push(begin);
        }
    }
}

/// Says which row the next look-ups are for.
#[doc(hidden)]
#[inline]
pub fn turn_to(row: u32) {
    KNOWN.with_borrow_mut(|known| known.row = row as usize);
}

/// Answers to what the rows of a batch asked.
#[derive(Default)]
struct Known {
    row: usize,
    lists: Vec<KnownList>,
}

struct KnownList {
    list: u16,
    begins: Vec<u32>,
    keys: columns::Texts,
    found: Found,
}

enum Found {
    /// A bitmap.
    Keys(Vec<u8>),
    Values(columns::Texts),
}

impl Found {
    fn present(&self) -> &[u8] {
        match self {
            Self::Keys(present) => present,
            Self::Values(values) => &values.present,
        }
    }
}

impl Known {
    /// What is known of a key that the row asked for.
    fn find<T>(&self, List(list): List, key: &str, read: impl Fn(&KnownList, usize) -> Option<T>) -> Option<T> {
        self.lists.iter().filter(|known| known.list == list).find_map(|known| {
            let of_row = known.begins[self.row] as usize..known.begins[self.row + 1] as usize;
            let keys = Texts::of(&known.keys);
            of_row.into_iter().find(|at| keys.at(*at) == key).and_then(|at| read(known, at))
        })
    }
}

thread_local! {
    static KNOWN: RefCell<Known> = const { RefCell::new(Known { row: 0, lists: Vec::new() }) };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_row_asked_is_known_to_it() {
        let lists = [(0, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())].into()), (1, [].into())].into();
        let (first, second) = (List(0), List(1));
        let mut ask = Ask::default();
        ask.contains(first, "a");
        ask.contains(first, "c");
        ask.turn_to(2);
        ask.get(first, "b");
        ask.get(first, "c");
        ask.contains(second, "b");
        let answered = {
            let _bound = crate::testing::lists::bind(&lists);
            ask.answered(4)
        };
        // No list is bound any more: only what is known can be told.
        let told = |row, list: List, key| {
            turn_to(row);
            (list.contains(key), list.get(key))
        };
        assert_eq!(told(0, first, "a"), (true, None));
        assert_eq!(told(0, first, "c"), (false, None));
        assert_eq!(told(0, first, "b"), (false, None), "not asked by this row");
        assert_eq!(told(1, first, "a"), (false, None), "not asked by this row");
        assert_eq!(told(2, first, "b"), (true, Some("2".into())));
        assert_eq!(told(2, first, "c"), (false, None));
        assert_eq!(told(2, second, "b"), (false, None));
        assert_eq!(told(3, first, "b"), (false, None));
        drop(answered);
        assert_eq!(told(0, first, "a"), (false, None), "forgotten");
    }
}
