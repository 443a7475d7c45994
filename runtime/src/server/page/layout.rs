//! The frame around every view: head, tabs, switches, and what stands below.

use hyper::StatusCode;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::context::{Context, Theme, link};
use super::parts;
use super::texts::{self, Language};
use crate::server::problem::Problem;

/// A tab in the head of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Tab {
    Home,
    Entries,
    Policies,
    Subjects,
    Backtests,
    Map,
}

impl Tab {
    const ALL: [Tab; 6] = [Tab::Home, Tab::Entries, Tab::Policies, Tab::Subjects, Tab::Backtests, Tab::Map];

    /// Where it leads.
    fn path(self) -> &'static str {
        match self {
            Tab::Home => "/",
            Tab::Entries => "/event",
            Tab::Policies => "/policies",
            Tab::Subjects => "/subjects",
            Tab::Backtests => "/backtests",
            Tab::Map => "/map",
        }
    }

    fn name(self, context: &Context<'_>) -> &'static str {
        match self {
            Tab::Home => context.text("frame.tab-home"),
            Tab::Entries => context.text("event.all"),
            Tab::Policies => context.text("policy.all"),
            Tab::Subjects => context.text("subject.all"),
            Tab::Backtests => context.text("frame.tab-backtests"),
            Tab::Map => context.text("frame.tab-map"),
        }
    }
}

/// A whole page: a view's `body` below its title, with the tab that it belongs to.
pub(in crate::server) fn layout(context: &Context<'_>, title: &str, active: Option<Tab>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(context.language.markup()) data-theme=(context.theme.name()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Ephor" }
                link rel="icon" href="/static/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/static/style.css";
                script type="module" src="/static/frame.js" {}
            }
            body {
                a.skip href="#main" { (context.text("frame.skip")) }
                header.top {
                    div.inner {
                        a.brand href="/" { (mark()) "Ephor" }
                        // Before somebody has logged in, each of them would lead back to the form.
                        @if context.path != "/login" {
                            nav.tabs aria-label=(context.text("frame.tabs")) {
                                @for tab in Tab::ALL {
                                    a href=(tab.path()) aria-current=[(Some(tab) == active).then_some("page")] { (tab.name(context)) }
                                }
                            }
                        }
                        (switches(context))
                    }
                }
                @if context.shared.options.dev {
                    p.banner { (context.text("frame.development")) }
                }
                main id="main" tabindex="-1" {
                    h1 { (title) }
                    (body)
                }
                footer {
                    p {
                        (context.text_with("frame.made-by", &[("version", env!("CARGO_PKG_VERSION"))])) " "
                        (context.text("frame.as-of")) " " (parts::time(context.now)) " · "
                        span.scripted { (context.text("frame.zone-own")) }
                        span.unscripted { (context.text("frame.zone-utc")) }
                    }
                    // What programs are told is in English.
                    p { a href="/v1/docs" hreflang="en" { (context.text("frame.interface")) } }
                }
                (script_texts(context))
            }
        }
    }
}

/// A problem as a page of its own.
pub(in crate::server) fn problem(context: &Context<'_>, problem: &Problem) -> Markup {
    let title = match problem.cause.status() {
        StatusCode::NOT_FOUND | StatusCode::GONE => context.text("frame.not-found"),
        status if status.is_server_error() => context.text("frame.failed"),
        _ => context.text("frame.refused"),
    };
    let body = html! {
        div.card.empty {
            // Problems are the interface's, and that is in English.
            p lang="en" { (problem.detail) }
            p { a href="/" { (context.text("frame.to-home")) } }
        }
    };
    layout(context, title, None, &body)
}

/// Languages and themes: links that work by themselves; a script takes the themes over.
fn switches(context: &Context<'_>) -> Markup {
    let theme_name = |theme: Theme| match theme {
        Theme::Auto => context.text("frame.theme-auto"),
        Theme::Light => context.text("frame.theme-light"),
        Theme::Dark => context.text("frame.theme-dark"),
    };
    html! {
        div.switches {
            @if let Some(identity) = &context.caller.0 {
                form.who method="post" action="/logout" {
                    span.note { (identity) }
                    button { (context.text("frame.log-out")) }
                }
            } @else if context.shared.options.access.is_some() && context.path != "/login" {
                a.button href=(link("/login", &[("to", context.path)])) { (context.text("login.title")) }
            }
            div.switch role="group" aria-label=(context.text("frame.language")) {
                @for language in Language::ALL {
                    a href=(context.link_with("lang", language.tag())) lang=(language.markup()) hreflang=(language.markup())
                        aria-current=[(language == context.language).then_some("true")] { (language.own_name()) }
                }
            }
            div.switch.themes role="group" aria-label=(context.text("frame.theme")) {
                @for theme in Theme::ALL {
                    a href=(context.link_with("theme", theme.name())) data-theme-to=(theme.name()) title=(theme_name(theme))
                        aria-label=(theme_name(theme)) aria-current=[(theme == context.theme).then_some("true")] { (theme_icon(theme)) }
                }
            }
        }
    }
}

fn theme_icon(theme: Theme) -> Markup {
    html! {
        svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" {
            @match theme {
                Theme::Auto => {
                    circle cx="8" cy="8" r="5.25" fill="none" stroke="currentColor" stroke-width="1.5" {}
                    path d="M8 2.75a5.25 5.25 0 0 1 0 10.5z" fill="currentColor" {}
                }
                Theme::Light => {
                    circle cx="8" cy="8" r="3" fill="currentColor" {}
                    path d="M8 1v2M8 13v2M1 8h2M13 8h2M3.05 3.05l1.4 1.4M11.55 11.55l1.4 1.4M3.05 12.95l1.4-1.4M11.55 4.45l1.4-1.4" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" {}
                }
                Theme::Dark => path d="M13.5 9.8A6 6 0 0 1 6.2 2.5a6 6 0 1 0 7.3 7.3z" fill="currentColor" {},
            }
        }
    }
}

/// An eye: somebody looks.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" {
            path d="M12 4.5C6.9 4.5 3 8.6 1.5 12c1.500 3.4 5.400 7.500 10.500 7.500S21 15.400 22.500 12C21 8.600 17.100 4.500 12 4.500z" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linejoin="round" {}
            circle cx="12" cy="12" r="3.600" fill="currentColor" {}
        }
    }
}

/// What scripts say, as data: `<` is written otherwise, so nothing in it ends the element.
fn script_texts(context: &Context<'_>) -> Markup {
    let texts = texts::section(context.language, "script");
    let json = serde_json::to_string(&texts).unwrap_or_default().replace('<', "\\u003c");
    html! { script type="application/json" id="texts" { (PreEscaped(json)) } }
}
