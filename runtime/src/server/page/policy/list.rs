//! All policies that are judged with.

use maud::Markup;

use super::super::context::Context;
use super::super::home;
use super::super::layout::{Tab, layout};

/// The list of policies.
pub(in crate::server) fn view(context: &Context<'_>) -> Markup {
    layout(context, context.text("policy.all"), Some(Tab::Policies), &home::policies(context))
}
