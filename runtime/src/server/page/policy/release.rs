//! One release: what it says, on which law, what it sees, and what it is made of.

use maud::{Markup, html};

use super::super::context::Context;
use super::super::parts::{self, Column};
use super::{form, granted};
use crate::policy::Statement;
use crate::policy::form::Form;
use crate::policy::manifest::Rule;
use crate::runtime::Standing;
use crate::verdict::Action;

/// The section of a release. With several of them each says in its title which it is.
pub fn section(context: &Context<'_>, standing: &Standing, is_one_of_several: bool) -> Markup {
    let release = &standing.release;
    let statement = statement(context, standing);
    let title = match is_one_of_several {
        true => context.text_with("policy.release-title", &[("release", &release.id)]),
        false => context.text("policy.says").to_string(),
    };
    let id = format!("release-{}", release.digest.short());
    let body = html! {
        @if is_one_of_several { p { (parts::mode(context, standing.mode)) } }
        p.summary { (release.manifest.summary) }
        @if let Some(statement) = &statement { (law(context, statement)) }
        h3 { (context.text("policy.rules")) }
        @for rule in &release.manifest.rules { (of_rule(context, rule)) }
        h3 { (context.text("policy.fields")) }
        (fields(context, standing))
        h3 { (context.text("policy.keeps")) }
        p { (keeps(context, standing)) }
        (made_of(context, standing))
    };
    parts::section(&id, &title, &body)
}

/// What the publisher has signed, if it is published and its repository was looked into.
fn statement(context: &Context<'_>, standing: &Standing) -> Option<Statement> {
    let publishers = context.shared.options.publishers.as_deref()?;
    publishers.statement(standing.release.publisher.as_deref()?, standing.statement.as_ref()?)
}

fn law(context: &Context<'_>, statement: &Statement) -> Markup {
    html! {
        dl.facts {
            dt { (context.text("policy.version")) } dd { (statement.version) }
            dt { (context.text("policy.legal-basis")) } dd.clause { (statement.legal_basis) }
            dt { (context.text("policy.jurisdiction")) } dd { (statement.jurisdiction) }
            dt { (context.text("policy.issued")) } dd { (parts::time(statement.issued)) }
            @if let Some(from) = statement.valid_from { dt { (context.text("policy.valid-from")) } dd { (parts::time(from)) } }
            @if let Some(until) = statement.valid_until { dt { (context.text("policy.valid-until")) } dd { (parts::time(until)) } }
            @if statement.notice_days > 0 {
                dt { (context.text("policy.notice")) } dd { (context.count("frame.days", statement.notice_days.into())) }
            }
            @if let Some(version) = &statement.supersedes { dt { (context.text("policy.supersedes")) } dd { (version) } }
        }
    }
}

/// A rule: its message in the viewer's language, the clause, and what it asks for.
fn of_rule(context: &Context<'_>, rule: &Rule) -> Markup {
    let own = rule.messages.iter().find(|message| parts::is_in(context.language, &message.language));
    let message = own.or(rule.messages.first());
    let asks = match rule.action {
        Action::Deny => context.text("event.asks-deny"),
        Action::Flag => context.text("event.asks-flag"),
    };
    html! {
        article class={ "finding " (rule.action.name()) } {
            @if let Some(message) = message { p.says lang=[own.is_none().then_some(&message.language)] { (message.text) } }
            dl.facts {
                dt { (context.text("event.clause")) } dd.clause { (rule.legal_basis) }
                dt { (context.text("event.rule")) } dd { code { (rule.id) } " · " (asks) " · " (parts::severity(context, rule.severity)) }
            }
        }
    }
}

fn fields(context: &Context<'_>, standing: &Standing) -> Markup {
    let head = [
        Column::text(context.text("event.field")),
        Column::text(context.text("event.purpose")),
        Column::text(context.text("policy.asked-form")),
        Column::text(context.text("policy.granted-form")),
        Column::text(context.text("policy.kind")),
    ];
    let rows = html! {
        @for field in &standing.release.manifest.fields {
            tr {
                th.pointer scope="row" { code { (field.pointer) } }
                td.long data-is=(context.text("event.purpose")) { (field.purpose) }
                td data-is=(context.text("policy.asked-form")) { (form(context, field.form.name())) }
                td data-is=(context.text("policy.granted-form")) { (form(context, &granted(standing, field))) }
                td data-is=(context.text("policy.kind")) { (field.kind) @if field.required { " · " (context.text("policy.required")) } }
            }
        }
    };
    let types = standing.release.manifest.events.join(", ");
    html! {
        p.note { (context.text("policy.asked-about")) " " code { (types) } }
        div.stacked { (parts::table(context.text("policy.fields"), &head, &rows)) }
    }
}

/// What it remembers, and by what.
fn keeps(context: &Context<'_>, standing: &Standing) -> Markup {
    let manifest = &standing.release.manifest;
    let Some(keyed) = &manifest.keyed else { return html! { (context.text("policy.keeps-nothing")) } };
    let key: Vec<&str> = keyed.key.iter().filter_map(|at| manifest.fields.get(usize::from(*at))).map(|field| &*field.pointer).collect();
    html! {
        (context.text("policy.keeps-by")) " "
        @for (at, pointer) in key.iter().enumerate() { @if at > 0 { ", " } code { (pointer) } } "."
        @if keyed.timers { " " (context.text("policy.keeps-timers")) }
        @if let Some(state) = marks(standing) { " " (context.text("policy.keeps-forms")) " " (state) "." }
    }
}

/// The forms of the key's fields, where one of them is not plain.
fn marks(standing: &Standing) -> Option<String> {
    let manifest = &standing.release.manifest;
    let key = manifest.keyed.iter().flat_map(|keyed| &keyed.key).filter_map(|at| manifest.fields.get(usize::from(*at)));
    let forms: Vec<String> = key.map(|field| granted(standing, field)).collect();
    forms.iter().any(|form| *form != Form::Plain.to_string()).then(|| forms.join(", "))
}

fn made_of(context: &Context<'_>, standing: &Standing) -> Markup {
    let release = &standing.release;
    html! {
        details {
            summary { (context.text("event.made-of")) }
            dl.facts {
                dt { (context.text("event.release")) } dd { code { (release.id) } }
                dt { (context.text("event.release-digest")) } dd { code.hash { (release.digest.hex()) } }
                dt { (context.text("event.component")) }
                dd {
                    code.hash { (release.component.hex()) } " " span.note { (context.text_with("policy.bytes", &[("n", &parts::number(release.component_bytes))])) }
                    @if let Some(language) = release.language { " " span.note { (language.word()) } }
                }
                dt { (context.text("event.settings")) } dd { code.hash { (release.settings.hex()) } }
                @for list in &release.lists {
                    dt { (context.text("event.list")) " " (list.name) } dd { (list.version) " " code.hash { (list.digest.hex()) } }
                }
                @if let Some(statement) = &standing.statement { dt { (context.text("policy.statement")) } dd { code.hash { (statement.hex()) } } }
            }
            @if standing.statement.is_none() { p.note { (context.text("policy.unsigned")) } }
        }
    }
}
