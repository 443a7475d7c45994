//! The derives and attributes of `ephor-sdk`. Use them through that crate,
//! which documents them where they are re-exported.

mod field_enum;
mod fields;
mod policy;
mod record;
mod rules;
mod text;

use proc_macro::TokenStream;

/// Declares what a rule sees of an event: one column per field of the struct.
///
/// Each field carries `#[field("<JSON Pointer>", purpose = "<one sentence>")]`,
/// with `, form = pseudonym | mask | coarse` where the rule needs no more than that
/// (`manifest.form`): a `&str` can be a pseudonym or masked, an `i64`, `f64` or
/// `Time` coarse.
/// Its type says the kind: `bool`, `i64`, `f64`, `&str`, `Time`, `Json`, or an enum
/// with `#[derive(FieldEnum)]`; an `Option` of one of them makes it optional
/// (`manifest.field.required`).
/// A struct may have one lifetime parameter and no type parameters.
#[proc_macro_derive(Fields, attributes(field))]
pub fn fields(item: TokenStream) -> TokenStream {
    finish(fields::expand(item.into()))
}

/// Makes an enum the type of a field over texts that are known beforehand.
///
/// Each variant carries `#[value("…")]`, the text in the event, or one of them
/// `#[other]`, for all other texts. The enum has to be `Copy`. Without `#[other]` an
/// event with an unknown text is undecided, also if the field is an `Option`: a rule
/// must not take what it does not know for what is missing.
#[proc_macro_derive(FieldEnum, attributes(value, other))]
pub fn field_enum(item: TokenStream) -> TokenStream {
    finish(field_enum::expand(item.into()))
}

/// Declares the rules of a policy: one per variant of a unit enum.
///
/// Each variant carries `#[rule(id = "…", action = flag | deny, severity = low
/// | medium | high | critical, legal_basis = "…", en = "…", zh = "…")]`. Every
/// key besides the first four is a BCP 47 language tag, with `_` for `-`; the
/// first message is the default one. `{name}` in a message stands for the
/// evidence of that name.
#[proc_macro_derive(Rules, attributes(rule))]
pub fn rules(item: TokenStream) -> TokenStream {
    finish(rules::expand(item.into()))
}

/// Makes a type part of the settings: readable from JSON, with a JSON Schema.
///
/// Members that the type does not have are refused, so that a misspelt setting
/// does not go unnoticed. `#[settings(open)]` lets them through, for formats
/// that allow foreign members, such as `GeoJSON`. The attributes `#[serde(…)]`
/// and `#[schemars(…)]` work as usual.
#[proc_macro_attribute]
pub fn settings(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(record::settings(arguments.into(), item.into()))
}

/// Makes a struct the state of a key.
///
/// Derives `Default`, `PartialEq`, `Serialize` and `Deserialize`, so the members
/// must have them; a struct inside a state can be a `#[state]` too. A key whose
/// state equals the default has no state. The encoding is the members in order,
/// behind a byte that tells their names and types: to add, remove, rename or
/// reorder members, or to change what one means, needs another `state_version`,
/// and without it the states there are can no longer be read. `#[serde(skip…)]`
/// and the like cannot be used.
#[proc_macro_attribute]
pub fn state(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(record::state(arguments.into(), item.into()))
}

/// Declares a policy, on its `impl Policy for …`, and exports it when the
/// crate is built for WebAssembly. A crate has at most one.
///
/// `#[policy(name = "…", summary = "…", events = ["…"])]`, for a policy with
/// state also `key = ["<JSON Pointer of a required field>"], state_version =
/// 1`, for one with reference lists `lists = ["…"]`. The version is that of
/// the crate.
///
/// A policy with state may have three more: `timers` (it asks to be woken, and
/// has a `fn wake`), `migrates_from = [1]` (its `fn migrate` reads the states of
/// these versions), and `resets` (a release may begin without the states that
/// it can neither take over nor migrate, instead of being refused).
#[proc_macro_attribute]
pub fn policy(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(policy::expand(arguments.into(), item.into()))
}

fn finish(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(|error| error.to_compile_error()).into()
}
