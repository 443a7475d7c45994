//! The rules of a policy.

pub use crate::wit::ephor::policy::manifest::{Action, Severity};
pub use ephor_sdk_macros::Rules;

/// The rules of a policy as an enum. Derive it: `#[derive(Rules, Clone, Copy)]`.
#[diagnostic::on_unimplemented(message = "`{Self}` does not declare rules", note = "add `#[derive(Rules, Clone, Copy)]` to it")]
pub trait Rules: Copy + 'static {
    /// What the manifest declares.
    const RULES: &'static [RuleDeclaration];
    /// Where the rule is in [`Self::RULES`].
    fn index(self) -> u16;
}

/// One entry of `manifest.rules`.
#[derive(Clone, Copy, Debug)]
pub struct RuleDeclaration {
    /// Unique within the policy.
    pub id: &'static str,
    /// What a finding asks for.
    pub action: Action,
    /// How grave a finding is.
    pub severity: Severity,
    /// The clause of law or regulation that the rule carries out.
    pub legal_basis: &'static str,
    /// Language tags (BCP 47) with texts; the first is the default.
    pub messages: &'static [(&'static str, &'static str)],
}
