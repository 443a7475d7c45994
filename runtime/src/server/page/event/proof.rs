//! The proof that an entry is in the log: a picture of it, and the button that checks it in
//! the browser.

use maud::{Markup, html};

use super::Context;
use super::picture::{self, Words};
use super::read::{Found, Proof};
use crate::ledger::tree::leaf_hash;
use crate::server::page::parts;

/// The section of the proof.
pub fn section(context: &Context<'_>, found: &Found) -> Markup {
    let body = match &found.proof {
        Some(proof) => proved(context, found, proof),
        None => to_come(context),
    };
    let sequence = found.sequence;
    html! {
        section.card id="proof" aria-labelledby="proof-title" data-sequence=(sequence) data-entry={ "/event/" (sequence) "/entry" }
            data-path={ "/event/" (sequence) "/path" } data-proof={ "/v1/log/proof/" (sequence) } data-key="/v1/log/key" {
            h2 id="proof-title" { (context.text("event.proof")) }
            (body)
        }
    }
}

/// A checkpoint that has the entry is still to be signed; or never will be.
fn to_come(context: &Context<'_>) -> Markup {
    match context.shared.runtime.failure() {
        Some(_) => html! { p { (context.text("event.proof-stopped")) } },
        None => html! {
            p { (context.text("event.proof-to-come")) }
            p { a.button href=(context.path) { (context.text("event.proof-again")) } }
        },
    }
}

fn proved(context: &Context<'_>, found: &Found, Proof { proof, checkpoint }: &Proof) -> Markup {
    let leaf = leaf_hash(found.line.as_bytes());
    let steps = picture::steps(leaf, proof.index, checkpoint.size, &proof.path);
    let size = parts::number(checkpoint.size);
    let count = parts::number(steps.len() as u64);
    let description = context.text_with("event.proof-picture", &[("steps", &count), ("size", &size)]);
    let words = Words { description: &description, entry: context.text("event.proof-entry"), root: context.text("event.proof-root") };
    html! {
        p { (context.text_with("event.proof-what", &[("steps", &count), ("size", &size)])) }
        form.prove {
            details {
                summary { (context.text("event.held")) }
                p.note { (context.text("event.held-what")) }
                label.field.wide {
                    (context.text("event.held-keys"))
                    textarea name="keys" rows="2" spellcheck="false" autocomplete="off" placeholder="ephor.invalid/…+…+…" {}
                }
                label.field.wide {
                    (context.text("event.held-checkpoint"))
                    textarea name="checkpoint" rows="5" spellcheck="false" autocomplete="off" {}
                }
            }
            div.buttons.scripted { button.primary type="submit" { (context.text("event.verify")) } }
            p.unscripted { (context.text("event.verify-script")) }
        }
        div.proof-outcome role="status" {}
        ol.proof-steps {}
        details {
            summary { (context.text("event.proof-show")) }
            div.proof-drawn {
                (picture::draw(leaf, &steps, &words))
                ol.proof-path aria-label=(context.text("event.proof-path")) {
                    @for step in &steps {
                        li {
                            span { (if step.own_is_left { context.text("event.proof-right") } else { context.text("event.proof-left") }) " " code.hash { (step.sibling) } }
                            span.node { "→ " code.hash { (step.node) } }
                        }
                    }
                }
            }
        }
        details {
            summary { (context.text("event.proof-checkpoint")) }
            pre.line tabindex="0" aria-label=(context.text("event.proof-checkpoint")) { code { (proof.checkpoint) } }
            p.note { (context.text("event.proof-cli")) " " code { "ephor log prove " (found.sequence) " --from URL" } }
        }
    }
}
