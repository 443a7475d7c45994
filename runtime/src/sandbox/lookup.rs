//! Look-ups of policies in the lists of their release.
//!
//! They are the host's work on a guest's behalf, so the guest pays for them in fuel,
//! by what it asks and gets: the same wherever and whenever it asks.

use std::sync::Arc;

use wasmtime::component::Linker;
use wasmtime::{StoreContextMut, Trap};

use super::bindings::Texts;
use super::engine::{Ctx, Exceeded};
use crate::reference::List;

/// Fuel of a look-up, however many rows it has: crossing from the guest to the host
/// and back. Part of the contract, with the next.
const CALL_FUEL: u64 = 500;
/// Fuel of a row, beside one for each byte of its key and of the value that comes back.
const ROW_FUEL: u64 = 100;

/// Why a look-up ends its call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Wrong {
    #[error("looks something up before there are lists: `describe` and `configure` cannot, because a list may be replaced without them")]
    Early,
    #[error("looks something up in list {list}, but its manifest names {lists}")]
    NoSuchList { list: u16, lists: usize },
    #[error("the keys of a look-up are not a column: {0}")]
    Keys(&'static str),
}

/// Gives policies the interface `reference`. By hand: what is generated for it has the
/// store's data and not its fuel.
pub(super) fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("ephor:policy/reference@0.1.0")?;
    instance.func_wrap("contains-many", |store, (list, keys)| contains_many(store, list, &keys).map(|found| (found,)))?;
    instance.func_wrap("get-many", |store, (list, keys)| get_many(store, list, &keys).map(|found| (found,)))
}

fn contains_many(mut store: StoreContextMut<'_, Ctx>, list: u16, keys: &Texts) -> wasmtime::Result<Vec<u8>> {
    let (list, keys) = begin(&mut store, list, keys)?;
    let mut found = vec![0; keys.rows().div_ceil(8)];
    for (row, key) in keys.iter() {
        if key.is_some_and(|key| list.contains(key)) {
            found[row / 8] |= 1 << (row % 8);
        }
    }
    Ok(found)
}

fn get_many(mut store: StoreContextMut<'_, Ctx>, list: u16, keys: &Texts) -> wasmtime::Result<Texts> {
    let (list, keys) = begin(&mut store, list, keys)?;
    let values: Vec<Option<&str>> = keys.iter().map(|(_, key)| list.get(key?)).collect();
    // Paid for before it is copied: a key of a few bytes may stand for 64 KiB.
    let bytes: usize = values.iter().flatten().map(|value| value.len()).sum();
    charge(&mut store, bytes as u64)?;
    if bytes > store.data().values_bytes_max {
        return Err(wasmtime::Error::new(Exceeded("the bytes of values that one look-up may give")));
    }
    let (rows, text) = (values.len(), String::with_capacity(bytes));
    let mut column = Texts { present: vec![0; rows.div_ceil(8)], offsets: Vec::with_capacity(rows + 1), text };
    column.offsets.push(0);
    for (row, value) in values.into_iter().enumerate() {
        if let Some(value) = value {
            column.present[row / 8] |= 1 << (row % 8);
            column.text.push_str(value);
        }
        let end = u32::try_from(column.text.len()).map_err(|_| Exceeded("the bytes of values that a column can have"))?;
        column.offsets.push(end);
    }
    Ok(column)
}

/// Finds the list, checks the keys, and has the guest pay for both.
fn begin<'k>(store: &mut StoreContextMut<'_, Ctx>, list: u16, keys: &'k Texts) -> wasmtime::Result<(Arc<List>, Keys<'k>)> {
    let rows = keys.offsets.len().saturating_sub(1) as u64;
    charge(store, CALL_FUEL + rows * ROW_FUEL + keys.text.len() as u64)?;
    let lists = store.data().lists.as_ref().ok_or(Wrong::Early)?;
    let found = lists.get(usize::from(list)).cloned().ok_or(Wrong::NoSuchList { list, lists: lists.len() })?;
    Ok((found, Keys::of(keys)?))
}

/// Takes fuel from the guest; a guest that has not enough ends as if it had run out.
fn charge(store: &mut StoreContextMut<'_, Ctx>, fuel: u64) -> wasmtime::Result<()> {
    match store.get_fuel()?.checked_sub(fuel) {
        Some(left) => store.set_fuel(left),
        None => {
            store.set_fuel(0)?;
            Err(Trap::OutOfFuel.into())
        }
    }
}

/// A column of keys that is as the contract says.
#[derive(Debug)]
struct Keys<'k>(&'k Texts);

impl<'k> Keys<'k> {
    fn of(texts: &'k Texts) -> Result<Self, Wrong> {
        let Texts { present, offsets, text } = texts;
        let (Some(0), Some(last)) = (offsets.first(), offsets.last()) else {
            return Err(Wrong::Keys("the offsets do not begin with 0"));
        };
        let rows = offsets.len() - 1;
        if *last as usize != text.len() {
            return Err(Wrong::Keys("the last offset is not the end of the text"));
        }
        if !offsets.is_sorted() {
            return Err(Wrong::Keys("the offsets do not ascend"));
        }
        if !offsets.iter().all(|offset| text.is_char_boundary(*offset as usize)) {
            return Err(Wrong::Keys("an offset is inside a character"));
        }
        let spare = (rows % 8 != 0).then(|| present.last().map_or(0, |last| last >> (rows % 8)));
        if present.len() != rows.div_ceil(8) || spare.is_some_and(|spare| spare != 0) {
            return Err(Wrong::Keys("`present` has not one bit for each row"));
        }
        Ok(Keys(texts))
    }

    fn rows(&self) -> usize {
        self.0.offsets.len() - 1
    }

    /// Each row with its key, if it has one.
    fn iter(&self) -> impl Iterator<Item = (usize, Option<&'k str>)> {
        let Texts { present, offsets, text } = self.0;
        offsets.windows(2).enumerate().map(move |(row, ends)| {
            let is_present = present[row / 8] >> (row % 8) & 1 == 1;
            (row, is_present.then(|| &text[ends[0] as usize..ends[1] as usize]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(present: &[u8], offsets: &[u32], text: &str) -> Texts {
        Texts { present: present.to_vec(), offsets: offsets.to_vec(), text: text.into() }
    }

    #[test]
    fn keys_are_read_row_by_row() {
        let column = texts(&[0b101], &[0, 1, 1, 3], "aä");
        let keys: Vec<_> = Keys::of(&column).expect("a column").iter().collect();
        assert_eq!(keys, [(0, Some("a")), (1, None), (2, Some("ä"))]);
        let none = texts(&[], &[0], "");
        assert_eq!(Keys::of(&none).expect("a column").rows(), 0);
    }

    #[test]
    fn what_is_no_column_is_refused() {
        for (present, offsets, text) in [
            (&[][..], &[][..], ""),
            (&[1], &[1, 1], "a"),
            (&[1], &[0, 2], "a"),
            (&[1], &[0, 0], "a"),
            (&[3], &[0, 2, 1, 2], "aa"),
            (&[3], &[0, 1, 2], "ä"),
            (&[], &[0, 1], "a"),
            (&[1, 0], &[0, 1], "a"),
            (&[3], &[0, 1], "a"),
        ] {
            assert!(Keys::of(&texts(present, offsets, text)).is_err(), "{present:?} {offsets:?} {text:?}");
        }
    }
}
