//! The component that a file of rules becomes.
//!
//! It is compiled once, without rules (`make table`), and comes with `ephor-table`, which
//! checks a file and puts its rules into this module's room ([`slot`]). So whoever writes
//! rules needs no compiler. What is in here trusts the rules: whoever changes the bytes of
//! a component has made another component, with another digest.

mod calendar;
mod columns;
mod eval;
mod judge;
mod manifest;
mod slot;
mod value;
mod windows;
mod words;

pub use eval::{Fault, Scope};
pub use judge::Judge;
pub use manifest::of as describe;
pub use slot::program;
pub use value::Value;

#[cfg(target_family = "wasm")]
mod component {
    use std::cell::OnceCell;

    use ephor_sdk::wit::Guest;
    use ephor_sdk::wit::ephor::policy::evaluation::{Batch, Outcome, Wakes};
    use ephor_sdk::wit::ephor::policy::manifest::Manifest;
    use ephor_sdk::wit::ephor::policy::settings::SettingsError;

    use super::{Judge, describe, program};

    // lint: allow(hidden-memory): set once, in configure, and in the image that the host keeps
    thread_local! {
        static CONFIGURED: OnceCell<Judge> = const { OnceCell::new() };
    }

    struct Component;

    impl Guest for Component {
        fn describe() -> Manifest {
            ephor_sdk::__say_why_on_panic();
            describe(&program())
        }

        fn configure(settings: String) -> Result<(), Vec<SettingsError>> {
            ephor_sdk::__say_why_on_panic();
            let judge = Judge::new(program(), &settings)?;
            CONFIGURED.with(|configured| assert!(configured.set(judge).is_ok(), "configure is called once"));
            Ok(())
        }

        fn evaluate(batch: Batch) -> Outcome {
            CONFIGURED.with(|configured| configured.get().expect("configure comes before evaluate").evaluate(&batch))
        }

        fn wake(_: Wakes) -> Outcome {
            Outcome { findings: Vec::new(), undecided: Vec::new(), states: Vec::new(), timers: Vec::new() }
        }

        fn migrate(from: u32, _: Vec<Vec<u8>>) -> Result<Vec<Option<Vec<u8>>>, String> {
            Err(format!("a policy of a file does not read states of version {from}"))
        }
    }

    #[allow(unsafe_code, reason = "generated; the calls over the boundary cannot be written without unsafe code")]
    mod exports {
        use super::Component;
        ephor_sdk::wit::export!(Component with_types_in ephor_sdk::wit);
    }
}
