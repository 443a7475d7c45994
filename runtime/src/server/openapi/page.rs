//! `/v1/docs`: the table as a page. It loads nothing and needs no script.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::access;
use super::document::refusals;
use super::operation::{Content, Example, Operation};
use super::table::{TABLE, Table};
use crate::digest::Digest;

const STYLE: &str = include_str!("page.css");

/// What the page may load: nothing but the style that is in it, known by its digest.
pub(in crate::server) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = STANDARD.encode(Digest::of(STYLE.as_bytes()).bytes());
    format!("default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
});

/// The page in a theme (`auto`, `light` or `dark`); lines to try go to this address, such as
/// `http://127.0.0.1:8787`, and have a token where one is asked for.
pub(in crate::server) fn page(base: &str, asks_who: bool, theme: &str) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" data-theme=(theme) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "The HTTP API · Ephor" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#operations" { "To the operations" }
                div class="top" { div class="inner" { a class="brand" href="/" { "Ephor" } a href="/" { "Overview" } span { "HTTP API" } } }
                header {
                    h1 { "The HTTP API" }
                    p { "Version " (env!("CARGO_PKG_VERSION")) ". The same for programs: " a href="/v1/openapi.json" { "OpenAPI 3.1" } "." }
                    (text(super::document::DESCRIPTION))
                }
                nav aria-label="Operations" { (contents()) }
                main id="operations" {
                    @for (group, says) in Table::groups() {
                        section aria-labelledby=(anchor(group)) {
                            h2 id=(anchor(group)) { (group) }
                            p { (says) }
                            @for operation in TABLE.operations().filter(|operation| operation.group == group) { (one(operation, base, asks_who)) }
                        }
                    }
                    section aria-labelledby="schemas" {
                        h2 id="schemas" { "Schemas" }
                        p { "JSON Schema 2020-12. Members that are not named here may come with a later version." }
                        @for (name, schema) in &TABLE.schemas {
                            details id={ "schema-" (name) } {
                                summary { code { (name) } }
                                pre tabindex="0" { (format!("{schema:#}")) }
                            }
                        }
                    }
                }
            }
        }
    };
    page.into_string()
}

fn anchor(group: &str) -> String {
    format!("group-{}", group.to_ascii_lowercase())
}

fn contents() -> Markup {
    html! {
        ul {
            @for operation in TABLE.operations() {
                li { a href={ "#" (operation.id) } { code { (operation.method) " " (operation.path) } } }
            }
        }
    }
}

fn one(operation: &Operation, base: &str, asks_who: bool) -> Markup {
    html! {
        article id=(operation.id) aria-labelledby={ (operation.id) "-name" } {
            h3 id={ (operation.id) "-name" } { code { span class="method" { (operation.method) " " } (operation.path) } }
            p { strong { (operation.summary) "." } }
            (text(operation.description))
            p { (inline(&access::says(operation))) }
            (parameters(operation))
            (bodies(operation))
            (answers(operation))
            h4 { "Try it" }
            @for line in lines(operation, base, asks_who) { pre tabindex="0" { (line) } }
        }
    }
}

/// Paragraphs.
fn text(description: &str) -> Markup {
    html! {
        @for paragraph in description.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
            p { (inline(paragraph)) }
        }
    }
}

/// Words in backticks as code and between asterisks strong: all that descriptions have of
/// CommonMark, paragraphs aside.
fn inline(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else {
                @for (index, part) in part.split("**").enumerate() {
                    @if index % 2 == 1 { strong { (part) } } @else { (part) }
                }
            }
        }
    }
}

/// A table that scrolls by itself where it is too wide, also by keyboard.
fn table(operation: &Operation, caption: &str, head: &[&str], body: &Markup) -> Markup {
    html! {
        div class="table" tabindex="0" role="region" aria-label={ (operation.id) ": " (caption) } {
            table {
                caption { (caption) }
                thead { tr { @for column in head { th scope="col" { (column) } } } }
                tbody { (body) }
            }
        }
    }
}

fn parameters(operation: &Operation) -> Markup {
    let rows = html! {
        @for parameter in &operation.parameters {
            tr {
                th scope="row" { code { (parameter.name) } }
                td { (parameter.place.name()) @if parameter.is_required() { ", required" } }
                td { (schema(&parameter.schema)) }
                td { (inline(parameter.says)) }
            }
        }
    };
    html! {
        @if !operation.parameters.is_empty() { (table(operation, "Parameters", &["name", "in", "value", "what for"], &rows)) }
    }
}

fn bodies(operation: &Operation) -> Markup {
    let rows = html! {
        @for content in &operation.bodies {
            tr { th scope="row" { code { (content.media) } } td { (shape(content)) } }
        }
    };
    html! {
        @if !operation.bodies.is_empty() { (table(operation, "Body, in one of these types", &["type", "what"], &rows)) }
    }
}

fn answers(operation: &Operation) -> Markup {
    let rows = html! {
        @for answer in &operation.answers {
            tr {
                th scope="row" { (answer.status) }
                td {
                    p { (inline(answer.says)) }
                    @for (name, says, _) in &answer.headers { p { code { (name) } ": " (inline(says)) } }
                }
                td { @for content in &answer.contents { p { code { (content.media) } " " (shape(content)) } } }
            }
        }
        @if operation.is_tagged {
            tr { th scope="row" { "304" } td { "What was answered before still holds." } td {} }
        }
        @for (status, causes) in refusals(operation) {
            tr {
                th scope="row" { (status) }
                td { ul { @for cause in causes { li { code { (cause.kind()) } " " (cause.title()) "." } } } }
                td { a href="#schema-Problem" { "Problem" } }
            }
        }
    };
    table(operation, "Answers", &["status", "what", "body"], &rows)
}

fn shape(content: &Content) -> Markup {
    html! {
        (schema(content.item.as_ref().unwrap_or(&content.schema)))
        @if content.item.is_some() { ", one after the other" }
    }
}

/// A schema in a word or a few.
fn schema(value: &Value) -> Markup {
    let reference = |value: &Value| value["$ref"].as_str().and_then(|path| path.rsplit('/').next()).map(str::to_string);
    let listed = |name: &str| value[name].as_array().cloned().unwrap_or_default();
    html! {
        @if let Some(name) = reference(value) {
            a href={ "#schema-" (name) } { (name) }
        } @else if value["anyOf"].is_array() {
            @for (index, one) in listed("anyOf").iter().enumerate() { @if index > 0 { " or " } (schema(one)) }
        } @else if value["enum"].is_array() {
            @for (index, one) in listed("enum").iter().enumerate() { @if index > 0 { ", " } code { (one) } }
        } @else if value["type"] == "array" {
            "array of " (schema(&value["items"]))
        } @else if let Some(says) = value["description"].as_str() {
            (says)
        } @else if let Some(constant) = value.get("const") {
            code { (constant) }
        } @else if let Some(properties) = value["properties"].as_object() {
            "object: "
            @for (index, (name, one)) in properties.iter().enumerate() { @if index > 0 { ", " } code { (name) } " " (schema(one)) }
        } @else {
            @match value["type"].as_str() { Some(kind) => (kind), None => "anything" }
            @if let (Some(least), Some(most)) = (value.get("minimum"), value.get("maximum")) { " from " (least) " to " (most) }
        }
    }
}

/// Lines for a shell: one for each body, or one without.
pub(super) fn lines(operation: &Operation, base: &str, asks_who: bool) -> Vec<String> {
    let path = operation.sample();
    let tried = operation.parameters.iter().filter(|parameter| !parameter.is_required());
    let query: Vec<String> =
        tried.filter_map(|parameter| parameter.example.map(|example| format!("{}={example}", parameter.name))).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let method = match operation.method.as_str() {
        "GET" => String::new(),
        method => format!(" -X {method}"),
    };
    let token = if asks_who && access::asks_who(operation) { " -H \"authorization: Bearer $EPHOR_TOKEN\"" } else { "" };
    let head = format!("curl -s{method} '{base}{path}{query}'{token}");
    let shown: Vec<&Content> = operation.bodies.iter().filter(|content| content.example.is_some()).collect();
    if shown.is_empty() {
        return vec![head];
    }
    let line = |content: &&Content| {
        let mut line = format!("{head} -H 'content-type: {}'", content.media);
        for header in content.headers {
            line.push_str(&format!(" -H '{header}'"));
        }
        let quoted = |text: &str| text.replace('\'', r"'\''");
        match &content.example {
            Some(Example::Json(value)) => line.push_str(&format!(" -d '{}'", quoted(&value.to_string()))),
            Some(Example::Text(text)) => line.push_str(&format!(" --data-binary '{}'", quoted(text))),
            Some(Example::File(file)) => line.push_str(&format!(" --data-binary @{file}")),
            None => {}
        }
        line
    };
    shown.iter().map(line).collect()
}
