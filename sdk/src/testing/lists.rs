//! Reference lists without a host: those that a test binds, for as long as it judges.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::fields::{Texts, bit};
use crate::reference::column;
use crate::wit::ephor::policy::columns;

/// Bound lists by their index in `manifest.lists`.
pub(crate) type Lists = BTreeMap<u16, BTreeMap<String, String>>;

thread_local! {
    static BOUND: RefCell<Lists> = const { RefCell::new(Lists::new()) };
}

/// Binds lists for this thread until the result is dropped.
#[must_use]
pub(crate) fn bind(lists: &Lists) -> impl Drop + use<> {
    struct Unbind;

    impl Drop for Unbind {
        fn drop(&mut self) {
            BOUND.take();
        }
    }

    if !lists.is_empty() {
        BOUND.set(lists.clone());
    }
    Unbind
}

pub(crate) fn contains_many(list: u16, keys: &columns::Texts) -> Vec<u8> {
    get_many(list, keys).present
}

pub(crate) fn get_many(list: u16, keys: &columns::Texts) -> columns::Texts {
    let texts = Texts::of(keys);
    BOUND.with_borrow(|bound| {
        let list = bound.get(&list);
        let found: Vec<_> =
            (0..keys.offsets.len() - 1).map(|row| bit(&keys.present, row).then(|| list?.get(texts.at(row))).flatten()).collect();
        column(&found)
    })
}
