//! The form that takes a token.

use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use maud::html;
use std::sync::Arc;

use super::context::Context;
use super::layout::layout;
use super::route;
use crate::server::Shared;
use crate::server::body::ResponseBody;

/// The form; `back` is where it leads to, and `was_wrong` whether a token was refused.
pub(in crate::server) fn login(
    shared: &Arc<Shared>,
    parts: &Parts,
    status: StatusCode,
    back: &str,
    was_wrong: bool,
) -> Response<ResponseBody> {
    let context = Context::new(shared, parts);
    let body = html! {
        form.card.login method="post" action="/login" {
            @if was_wrong { p.wrong role="alert" { (context.text("login.wrong")) } }
            input type="hidden" name="to" value=(back);
            label.field { (context.text("login.token"))
                input id="token" name="token" type="password" autocomplete="off" spellcheck="false" required autofocus;
            }
            div.buttons { button.primary { (context.text("login.enter")) } }
            p.note { (context.text("login.note")) " " code { "ephor token create" } }
        }
    };
    let markup = layout(&context, context.text("login.title"), None, &body);
    route::answer(&context, status, markup)
}
