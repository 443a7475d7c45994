//! The page for people: rendered here, with a little script that makes it live.
//!
//! In reading order: `route` (which paths there are), `context` (who looks, in which
//! language and theme), `layout` (the frame around every view), `parts` (what views are
//! made of: times, figures, badges, tables), `texts` (what is said, in each language),
//! `plot` (pictures of numbers), `files` (styles and scripts), and the views, each in a
//! folder or file of its own.
//!
//! # To add a view
//!
//! 1. `route.rs`: a variant of [`Path`], where it is matched, and its row in `view`. A tab
//!    in the head of the page is a variant of [`layout::Tab`].
//! 2. A module with `fn view(context: &Context) -> Result<Markup, Problem>`, whose last
//!    line is `Ok(layout(context, &title, Tab::…, html! { … }))`. What takes long, such as
//!    reading the ledger, is done in `log::blocking` before; then the function is `async`.
//! 3. Its texts, in a section of its own of `texts/en.toml` and `texts/zh.toml`; a test
//!    holds both files against each other and against the code.
//! 4. Its script, if it needs one, as a module in `static/`, a row in `files::FILES`, and
//!    `(parts::script("NAME.js"))` at the end of the view. A script that speaks takes its
//!    words from the section `script` of the texts: `import {text} from "./frame.js"`.
//!
//! A part with an `id` and the attribute `data-live` is fetched again every few seconds and
//! replaced, if nobody has the focus inside.
//!
//! No style attributes and no scripts in the markup: the content security policy that
//! every answer has forbids them, and anything from another host.

mod backtests;
mod context;
mod event;
mod files;
mod home;
mod layout;
mod login;
mod map;
mod parts;
mod plot;
mod policy;
mod route;
mod subject;
mod texts;

pub(super) use context::Theme;
pub(super) use login::login;
pub(super) use route::{Path, get, post};
