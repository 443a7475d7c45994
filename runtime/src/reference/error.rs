//! Why bytes are not taken for a list.

/// A file is no list, or a list cannot be made. Nothing of it is used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// Something else.
    #[error("this is not a reference list; make one with `ephor list build`")]
    NotAList,
    /// Of a format that this release does not read.
    #[error("this list has format {found}, and this release reads {known}")]
    Format {
        /// What the file says.
        found: u32,
        /// What is read.
        known: u32,
    },
    /// More than is taken.
    #[error("the list has {bytes} bytes, at most {max}")]
    TooLarge {
        /// Bytes of the file.
        bytes: u64,
        /// How many there may be.
        max: u64,
    },
    /// Its bytes are not those that were written.
    #[error("the list is cut off or damaged: its bytes do not have the SHA-256 that it ends with; fetch or build it again")]
    Damaged,
    /// What it says about itself does not hold.
    #[error("the list is not valid: {problem}")]
    Head {
        /// What is wrong.
        problem: String,
    },
    /// An entry is not as it should be.
    #[error("entry {number} of the list is not valid: {problem}")]
    Entry {
        /// Which; the first is 1.
        number: u64,
        /// What is wrong.
        problem: String,
    },
}

impl ListError {
    /// All words of [`ListError::kind`].
    pub const KINDS: [&'static str; 5] = ["not-a-list", "list-format", "list-too-large", "list-damaged", "list-invalid"];

    /// The word used in answers and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            ListError::NotAList => "not-a-list",
            ListError::Format { .. } => "list-format",
            ListError::TooLarge { .. } => "list-too-large",
            ListError::Damaged => "list-damaged",
            ListError::Head { .. } | ListError::Entry { .. } => "list-invalid",
        }
    }
}
