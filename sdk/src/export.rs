/// Exports a policy from the component that its crate becomes; `#[policy]` calls it.
///
/// The configured policy is in a static of the component, so that it is in the
/// image of the memory that the host keeps after `configure`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($policy:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use ::std::{cell::OnceCell, string::String, thread_local, vec::Vec};
            use $crate::wit::{
                Guest,
                ephor::policy::{
                    evaluation::{Batch, Outcome, Wakes},
                    manifest::Manifest,
                    settings::SettingsError,
                },
            };

            thread_local! {
                static CONFIGURED: OnceCell<$policy> = const { OnceCell::new() };
            }

            struct Component;

            impl Guest for Component {
                fn describe() -> Manifest {
                    $crate::__say_why_on_panic();
                    $crate::describe::<$policy>()
                }

                fn configure(settings: String) -> Result<(), Vec<SettingsError>> {
                    $crate::__say_why_on_panic();
                    let policy = $crate::configure::<$policy>(&settings)?;
                    CONFIGURED.with(|configured| {
                        assert!(configured.set(policy).is_ok(), "configure is called once");
                    });
                    Ok(())
                }

                fn evaluate(batch: Batch) -> Outcome {
                    CONFIGURED.with(|configured| {
                        let policy = configured.get().expect("configure comes before evaluate");
                        $crate::evaluate(policy, &batch)
                    })
                }

                fn wake(wakes: Wakes) -> Outcome {
                    CONFIGURED.with(|configured| {
                        let policy = configured.get().expect("configure comes before wake");
                        $crate::wake(policy, &wakes)
                    })
                }

                fn migrate(from: u32, states: Vec<Vec<u8>>) -> Result<Vec<Option<Vec<u8>>>, String> {
                    $crate::migrate::<$policy>(from, &states)
                }
            }

    $crate::wit::export!(Component with_types_in $crate::wit);
        };
    };
}

/// Without it a panic is a trap without a reason.
#[doc(hidden)]
#[cfg(target_family = "wasm")]
pub fn __say_why_on_panic() {
    std::panic::set_hook(Box::new(|panic| crate::log::warn(panic.to_string())));
}
