//! Files of reference lists, as they are and with the digest at their end put right.

use std::sync::Arc;

use ephor::List;
use ephor::reference::Draft;
use sha2::{Digest as _, Sha256};

pub fn body(bytes: &[u8]) {
    open(bytes);
    if let Some(content) = bytes.len().checked_sub(32).map(|end| &bytes[..end]) {
        let sealed = [content, &Sha256::digest(content)].concat();
        open(&sealed);
    }
}

fn open(bytes: &[u8]) {
    let list = match List::open(Arc::from(bytes)) {
        Ok(list) => list,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert_eq!(list.iter().len() as u64, list.len());
    assert!(list.iter().map(|(key, _)| key).is_sorted_by(|one, next| one < next), "keys are in order, each once");
    for (key, value) in list.iter() {
        assert!(list.contains(key));
        assert_eq!(list.get(key), Some(value));
    }
    // A list has one form.
    let columns: Vec<&str> = list.columns().iter().map(String::as_str).collect();
    let mut draft = Draft::new(list.name(), list.version(), &columns).expect("what is in a list can be in one");
    for (key, value) in list.iter() {
        draft.push(key, value).expect("what is in a list can be in one");
    }
    let again = draft.finish().expect("what is in a list can be in one");
    assert!(again.bytes()[..] == *bytes, "the same list has other bytes");
    assert_eq!(again.digest(), list.digest());
}
