//! The book about writing rules: a tutorial, a cookbook, rules in a file without a
//! compiler, and a page for each concept.
//!
//! Its pages lie in the folder `book` of this crate, where they read best; here they are
//! with their examples compiled.

#[doc = include_str!("../book/tutorial.md")]
pub mod tutorial {}

#[doc = include_str!("../book/cookbook.md")]
pub mod cookbook {}

#[doc = include_str!("../book/table.md")]
pub mod table {}

/// How each piece behaves, and what it refuses.
pub mod concepts {
    #[doc = include_str!("../book/concepts/fields.md")]
    pub mod fields {}
    #[doc = include_str!("../book/concepts/forms.md")]
    pub mod forms {}
    #[doc = include_str!("../book/concepts/rules.md")]
    pub mod rules {}
    #[doc = include_str!("../book/concepts/settings.md")]
    pub mod settings {}
    #[doc = include_str!("../book/concepts/state.md")]
    pub mod state {}
    #[doc = include_str!("../book/concepts/time.md")]
    pub mod time {}
    #[doc = include_str!("../book/concepts/lists.md")]
    pub mod lists {}
    #[doc = include_str!("../book/concepts/texts.md")]
    pub mod texts {}
    #[doc = include_str!("../book/concepts/places.md")]
    pub mod places {}
    #[doc = include_str!("../book/concepts/vectors.md")]
    pub mod vectors {}
    #[doc = include_str!("../book/concepts/determinism.md")]
    pub mod determinism {}
    #[doc = include_str!("../book/concepts/releases.md")]
    pub mod releases {}
}
