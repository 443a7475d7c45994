//! What published releases are made of: files that are named by their digests.

use std::fs;
use std::path::Path;

use super::{Check, Damage, Severity};
use crate::digest::Digest;
use crate::ledger::blobs::FOLDER;

impl Check<'_> {
    pub(super) fn releases(&mut self) {
        let folder = self.verifier.directory.join(FOLDER);
        // Made with the first release that is published.
        let Ok(items) = fs::read_dir(&folder) else { return };
        for name in items.filter_map(|item| Some(item.ok()?.file_name())) {
            let file = Path::new(FOLDER).join(&name);
            let text = name.to_str().unwrap_or_default();
            if text.ends_with(".new") {
                // A crash leaves a file on its way.
                self.find(Severity::Unfinished, file, None, Damage::Unexpected);
                continue;
            }
            match fs::read(folder.join(&name)) {
                Ok(bytes) if Digest::of(&bytes).hex() == text => {}
                Ok(_) if Digest::from_hex(text).is_some() => self.find(Severity::Evidence, file, None, Damage::NotItsName),
                Ok(_) => self.find(Severity::Evidence, file, None, Damage::Unexpected),
                Err(error) => self.find(Severity::Evidence, file, None, Damage::Unreadable(error.to_string())),
            }
        }
    }
}
