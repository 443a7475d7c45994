#![doc = include_str!("../README.md")]

extern crate self as ephor_sdk;

#[cfg(any(doc, doctest))]
pub mod book;
pub mod check;
pub mod declaration;
pub mod evidence;
pub mod fields;
pub mod geometry;
pub mod log;
pub mod money;
mod policy;
pub mod reference;
pub mod rule;
pub mod settings;
pub mod state;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod text;
pub mod time;
pub mod zone;

mod export;
#[doc(hidden)]
#[cfg(target_family = "wasm")]
pub use export::__say_why_on_panic;
#[cfg(doctest)]
mod refused;

pub use ephor_sdk_macros::{FieldEnum, Fields, Rules, policy, settings, state};
pub use evidence::Out;
pub use policy::{Policy, configure, describe, evaluate, migrate, wake};
pub use {schemars, serde, serde_json};

/// What a policy's page needs: `use ephor_sdk::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Policy,
        evidence::Out,
        fields::{FieldEnum, Fields, Json},
        log,
        reference::{Ask, List},
        rule::Rules,
        settings::SettingsErrors,
        state::State,
        time::Time,
    };
    pub use ephor_sdk_macros::{policy, settings, state};
}

/// The contract `ephor:policy` as generated from `wit/`. Policies have no need of it.
#[doc(hidden)]
#[allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::restriction,
    reason = "generated; the calls over the boundary of the component cannot be written without unsafe code"
)]
pub mod wit {
    wit_bindgen::generate!({
        world: "policy",
        path: "../wit",
        pub_export_macro: true,
        default_bindings_module: "ephor_sdk::wit",
        additional_derives: [PartialEq],
    });
}

/// The policy in the project's README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
