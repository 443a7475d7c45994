//! What a policy's author is told at compile time.
//!
//! A field of the key that no field has:
//! ```compile_fail,E0080
//! use ephor_sdk::prelude::*;
//! #[derive(Fields)]
//! struct Seen<'a> {
//!     #[field("/data/provider", purpose = "count by provider")]
//!     provider: &'a str,
//! }
//! #[settings]
//! struct Settings {}
//! #[state]
//! struct Count { seen: u64 }
//! #[derive(Rules, Clone, Copy)]
//! enum Rule {
//!     #[rule(id = "seen", action = flag, severity = low, legal_basis = "none", en = "seen")]
//!     Seen,
//! }
//! struct Counter;
//! #[policy(name = "counter", summary = "Counts.", events = ["*"], key = ["/data/operator"], state_version = 1)]
//! impl Policy for Counter {
//!     type Fields<'a> = Seen<'a>;
//!     type Settings = Settings;
//!     type State = Count;
//!     type Rule = Rule;
//!     fn configure(_: Settings) -> Result<Self, SettingsErrors> { Ok(Self) }
//!     fn evaluate(&self, _: Seen<'_>, state: &mut Count, _: &mut Out<Rule>) { state.seen += 1; }
//! }
//! fn main() { assert_eq!(ephor_sdk::describe::<Counter>().fields.len(), 1); }
//! ```
//!
//! A field of a type that no column has:
//! ```compile_fail,E0277
//! use ephor_sdk::prelude::*;
//! #[derive(Fields)]
//! struct Seen {
//!     #[field("/data/amount", purpose = "compare amounts")]
//!     amount: u8,
//! }
//! ```
//!
//! A form that the field's type cannot have, and one that there is not:
//! ```
//! use ephor_sdk::prelude::*;
//! #[derive(Fields)]
//! struct Seen<'a> {
//!     #[field("/data/buyer", purpose = "count buyers", form = pseudonym)]
//!     buyer: &'a str,
//! }
//! const _: () = assert!(!<Seen<'static> as Fields<'static>>::FIELDS.is_empty());
//! ```
//! ```compile_fail,E0080
//! use ephor_sdk::prelude::*;
//! #[derive(Fields)]
//! struct Seen {
//!     #[field("/data/buyer", purpose = "count buyers", form = pseudonym)]
//!     buyer: i64,
//! }
//! const _: () = assert!(!<Seen as Fields<'static>>::FIELDS.is_empty());
//! ```
//! ```compile_fail
//! use ephor_sdk::prelude::*;
//! #[derive(Fields)]
//! struct Seen<'a> {
//!     #[field("/data/buyer", purpose = "count buyers", form = hashed)]
//!     buyer: &'a str,
//! }
//! ```
//!
//! An enum whose variants do not say what they stand for, say the same, or hold
//! something; and one that is to be a pseudonym:
//! ```
//! use ephor_sdk::prelude::*;
//! #[derive(FieldEnum, Clone, Copy)]
//! enum Kind {
//!     #[value("scooter")]
//!     Scooter,
//!     #[other]
//!     Other,
//! }
//! #[derive(Fields)]
//! struct Seen {
//!     #[field("/data/type", purpose = "count by type")]
//!     kind: Option<Kind>,
//! }
//! const _: () = assert!(!<Seen as Fields<'static>>::FIELDS.is_empty());
//! ```
//! ```compile_fail
//! use ephor_sdk::prelude::*;
//! #[derive(FieldEnum, Clone, Copy)]
//! enum Kind {
//!     Scooter,
//! }
//! ```
//! ```compile_fail
//! use ephor_sdk::prelude::*;
//! #[derive(FieldEnum, Clone, Copy)]
//! enum Kind {
//!     #[value("scooter")]
//!     Scooter,
//!     #[value("scooter")]
//!     Moped,
//! }
//! ```
//! ```compile_fail
//! use ephor_sdk::prelude::*;
//! #[derive(FieldEnum, Clone, Copy)]
//! enum Kind {
//!     #[value("scooter")]
//!     Scooter(u8),
//! }
//! ```
//! ```compile_fail
//! use ephor_sdk::prelude::*;
//! #[derive(FieldEnum, Clone, Copy)]
//! enum Kind {
//!     #[value("scooter")]
//!     Scooter,
//!     #[other]
//!     Other,
//!     #[other]
//!     Another,
//! }
//! ```
//! ```compile_fail,E0080
//! use ephor_sdk::prelude::*;
//! #[derive(FieldEnum, Clone, Copy)]
//! enum Kind {
//!     #[value("scooter")]
//!     Scooter,
//! }
//! #[derive(Fields)]
//! struct Seen {
//!     #[field("/data/type", purpose = "count by type", form = pseudonym)]
//!     kind: Kind,
//! }
//! const _: () = assert!(!<Seen as Fields<'static>>::FIELDS.is_empty());
//! ```
//!
//! A pointer that is none, and a rule without a message:
//! ```compile_fail
//! use ephor_sdk::prelude::*;
//! #[derive(Fields)]
//! struct Seen {
//!     #[field("data.amount", purpose = "compare amounts")]
//!     amount: i64,
//! }
//! ```
//! ```compile_fail
//! use ephor_sdk::prelude::*;
//! #[derive(Rules, Clone, Copy)]
//! enum Rule {
//!     #[rule(id = "seen", action = flag, severity = low, legal_basis = "none")]
//!     Seen,
//! }
//! ```
//!
//! Timers that nobody asks for, a migration from the version that is written,
//! and what is for policies with state on one without:
//! ```
//! use ephor_sdk::prelude::*;
//! # #[derive(Fields)]
//! # struct Seen<'a> {
//! #     #[field("/data/provider", purpose = "count by provider")]
//! #     provider: &'a str,
//! # }
//! # #[settings]
//! # struct Settings {}
//! # #[state]
//! # struct Count { seen: u64 }
//! # #[derive(Rules, Clone, Copy)]
//! # enum Rule {
//! #     #[rule(id = "seen", action = flag, severity = low, legal_basis = "none", en = "seen")]
//! #     Seen,
//! # }
//! struct Counter;
//! #[policy(name = "counter", summary = "Counts.", events = ["*"], key = ["/data/provider"], state_version = 2,
//!     timers, migrates_from = [1])]
//! impl Policy for Counter {
//! #     type Fields<'a> = Seen<'a>;
//! #     type Settings = Settings;
//! #     type State = Count;
//! #     type Rule = Rule;
//! #     fn configure(_: Settings) -> Result<Self, SettingsErrors> { Ok(Self) }
//! #     fn evaluate(&self, _: Seen<'_>, state: &mut Count, _: &mut Out<Rule>) { state.seen += 1; }
//!     fn wake(&self, _: Time, _: &mut Count, _: &mut Out<Rule>) {}
//!     fn migrate(_: u32, _: &[u8]) -> Result<Option<Count>, String> { Ok(None) }
//! }
//! ```
//! ```compile_fail
//! use ephor_sdk::prelude::*;
//! # #[derive(Fields)]
//! # struct Seen<'a> {
//! #     #[field("/data/provider", purpose = "count by provider")]
//! #     provider: &'a str,
//! # }
//! # #[settings]
//! # struct Settings {}
//! # #[state]
//! # struct Count { seen: u64 }
//! # #[derive(Rules, Clone, Copy)]
//! # enum Rule {
//! #     #[rule(id = "seen", action = flag, severity = low, legal_basis = "none", en = "seen")]
//! #     Seen,
//! # }
//! struct Counter;
//! #[policy(name = "counter", summary = "Counts.", events = ["*"], key = ["/data/provider"], state_version = 2, timers)]
//! impl Policy for Counter {
//! #     type Fields<'a> = Seen<'a>;
//! #     type Settings = Settings;
//! #     type State = Count;
//! #     type Rule = Rule;
//! #     fn configure(_: Settings) -> Result<Self, SettingsErrors> { Ok(Self) }
//! #     fn evaluate(&self, _: Seen<'_>, _: &mut Count, _: &mut Out<Rule>) {}
//! }
//! ```
//! ```compile_fail
//! use ephor_sdk::prelude::*;
//! # #[derive(Fields)]
//! # struct Seen<'a> {
//! #     #[field("/data/provider", purpose = "count by provider")]
//! #     provider: &'a str,
//! # }
//! # #[settings]
//! # struct Settings {}
//! # #[state]
//! # struct Count { seen: u64 }
//! # #[derive(Rules, Clone, Copy)]
//! # enum Rule {
//! #     #[rule(id = "seen", action = flag, severity = low, legal_basis = "none", en = "seen")]
//! #     Seen,
//! # }
//! struct Counter;
//! #[policy(name = "counter", summary = "Counts.", events = ["*"], key = ["/data/provider"], state_version = 2)]
//! impl Policy for Counter {
//! #     type Fields<'a> = Seen<'a>;
//! #     type Settings = Settings;
//! #     type State = Count;
//! #     type Rule = Rule;
//! #     fn configure(_: Settings) -> Result<Self, SettingsErrors> { Ok(Self) }
//! #     fn evaluate(&self, _: Seen<'_>, _: &mut Count, _: &mut Out<Rule>) {}
//!     fn wake(&self, _: Time, _: &mut Count, _: &mut Out<Rule>) {}
//! }
//! ```
//! ```compile_fail
//! use ephor_sdk::prelude::*;
//! # #[derive(Fields)]
//! # struct Seen<'a> {
//! #     #[field("/data/provider", purpose = "count by provider")]
//! #     provider: &'a str,
//! # }
//! # #[settings]
//! # struct Settings {}
//! # #[state]
//! # struct Count { seen: u64 }
//! # #[derive(Rules, Clone, Copy)]
//! # enum Rule {
//! #     #[rule(id = "seen", action = flag, severity = low, legal_basis = "none", en = "seen")]
//! #     Seen,
//! # }
//! struct Counter;
//! #[policy(name = "counter", summary = "Counts.", events = ["*"], key = ["/data/provider"], state_version = 2, migrates_from = [2])]
//! impl Policy for Counter {
//! #     type Fields<'a> = Seen<'a>;
//! #     type Settings = Settings;
//! #     type State = Count;
//! #     type Rule = Rule;
//! #     fn configure(_: Settings) -> Result<Self, SettingsErrors> { Ok(Self) }
//! #     fn evaluate(&self, _: Seen<'_>, _: &mut Count, _: &mut Out<Rule>) {}
//!     fn migrate(_: u32, _: &[u8]) -> Result<Option<Count>, String> { Ok(None) }
//! }
//! ```
//! ```compile_fail
//! use ephor_sdk::prelude::*;
//! # #[derive(Fields)]
//! # struct Seen<'a> {
//! #     #[field("/data/provider", purpose = "count by provider")]
//! #     provider: &'a str,
//! # }
//! # #[settings]
//! # struct Settings {}
//! # #[state]
//! # struct Count { seen: u64 }
//! # #[derive(Rules, Clone, Copy)]
//! # enum Rule {
//! #     #[rule(id = "seen", action = flag, severity = low, legal_basis = "none", en = "seen")]
//! #     Seen,
//! # }
//! struct Counter;
//! #[policy(name = "counter", summary = "Counts.", events = ["*"], key = ["/data/provider"], state_version = 2, migrates_from = [1, 1])]
//! impl Policy for Counter {
//! #     type Fields<'a> = Seen<'a>;
//! #     type Settings = Settings;
//! #     type State = Count;
//! #     type Rule = Rule;
//! #     fn configure(_: Settings) -> Result<Self, SettingsErrors> { Ok(Self) }
//! #     fn evaluate(&self, _: Seen<'_>, _: &mut Count, _: &mut Out<Rule>) {}
//!     fn migrate(_: u32, _: &[u8]) -> Result<Option<Count>, String> { Ok(None) }
//! }
//! ```
//! ```compile_fail
//! use ephor_sdk::prelude::*;
//! # #[derive(Fields)]
//! # struct Seen<'a> {
//! #     #[field("/data/provider", purpose = "count by provider")]
//! #     provider: &'a str,
//! # }
//! # #[settings]
//! # struct Settings {}
//! # #[state]
//! # struct Count { seen: u64 }
//! # #[derive(Rules, Clone, Copy)]
//! # enum Rule {
//! #     #[rule(id = "seen", action = flag, severity = low, legal_basis = "none", en = "seen")]
//! #     Seen,
//! # }
//! struct Counter;
//! #[policy(name = "counter", summary = "Counts.", events = ["*"], key = ["/data/provider"], state_version = 2)]
//! impl Policy for Counter {
//! #     type Fields<'a> = Seen<'a>;
//! #     type Settings = Settings;
//! #     type State = Count;
//! #     type Rule = Rule;
//! #     fn configure(_: Settings) -> Result<Self, SettingsErrors> { Ok(Self) }
//! #     fn evaluate(&self, _: Seen<'_>, _: &mut Count, _: &mut Out<Rule>) {}
//!     fn migrate(_: u32, _: &[u8]) -> Result<Option<Count>, String> { Ok(None) }
//! }
//! ```
//! ```compile_fail
//! use ephor_sdk::prelude::*;
//! # #[derive(Fields)]
//! # struct Seen<'a> {
//! #     #[field("/data/provider", purpose = "count by provider")]
//! #     provider: &'a str,
//! # }
//! # #[settings]
//! # struct Settings {}
//! # #[state]
//! # struct Count { seen: u64 }
//! # #[derive(Rules, Clone, Copy)]
//! # enum Rule {
//! #     #[rule(id = "seen", action = flag, severity = low, legal_basis = "none", en = "seen")]
//! #     Seen,
//! # }
//! struct Counter;
//! #[policy(name = "counter", summary = "Counts.", events = ["*"], resets)]
//! impl Policy for Counter {
//! #     type Fields<'a> = Seen<'a>;
//! #     type Settings = Settings;
//! #     type State = ();
//! #     type Rule = Rule;
//! #     fn configure(_: Settings) -> Result<Self, SettingsErrors> { Ok(Self) }
//! #     fn evaluate(&self, _: Seen<'_>, _: &mut (), _: &mut Out<Rule>) {}
//! }
//! ```
