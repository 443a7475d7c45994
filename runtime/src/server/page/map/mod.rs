//! Where findings are: a policy's outlines and its findings on a drawing that needs no map
//! service. Moving and zooming are links, so they work without a script; one makes them
//! quick. The same findings are in a list for who cannot see the drawing.

mod draw;
mod window;

use std::sync::Arc;

use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::context::{Context, link};
use super::layout::{Tab, layout};
use super::parts::{self, Column, number};
use crate::places::{self, Outline, SPOTS_MAX, Spot, Spots, Wanted};
use crate::policy::{Mode, Release};
use crate::runtime::Standing;
use crate::server::log;
use crate::server::problem::{Cause, Problem};
use draw::{Drawing, LOOKS};
use window::{Bounds, HEIGHT, WIDTH, Window, ZOOM_MAX};

/// Findings of the list.
const LISTED_MAX: usize = 100;

/// What was looked up for a view.
struct Found {
    /// Those that there are to choose from.
    policies: Vec<String>,
    release: Arc<Release>,
    wanted: Wanted,
    spots: Arc<Spots>,
    outlines: Vec<Outline>,
    /// Kinds of outlines, and rules, in the order of their looks.
    kinds: Vec<String>,
    rules: Vec<String>,
}

/// Policies whose findings can have a place: those that see positions, or have outlines. Of
/// each the first of its releases that can.
fn policies(context: &Context<'_>) -> Vec<Standing> {
    let mut all = context.shared.runtime.policies();
    all.retain(|standing| context.viewer.sees_policy(standing.release.policy()) && places::sees_places(&standing.release, &standing.grant));
    // Releases of a policy stand together.
    all.dedup_by(|later, first| later.release.policy() == first.release.policy());
    all
}

/// Looks up what was asked for; nothing if no policy has places.
async fn look_up(context: &Context<'_>) -> Result<Option<Found>, Problem> {
    let all = policies(context);
    let policies = all.iter().map(|standing| standing.release.policy().to_string()).collect();
    let chosen = match context.asked("policy") {
        None => all.into_iter().next(),
        Some(asked) => {
            let found = all.into_iter().find(|standing| standing.release.policy() == asked);
            Some(found.ok_or_else(|| {
                let detail = format!("No policy {asked:?} that sees positions is in force.");
                Problem::new(Cause::NoSuchPolicy, detail)
            })?)
        }
    };
    let Some(Standing { release, mode, grant, .. }) = chosen else { return Ok(None) };
    let log = log::of(context.shared)?.clone();
    let data = context.shared.runtime.data().map(std::path::Path::to_path_buf);
    let data = data.ok_or_else(|| Problem::new(Cause::NoLedger, "This server keeps nothing; start it with a data directory."))?;
    let until = context.asked("until").and_then(|until| until.parse().ok()).unwrap_or_else(|| log.size()).min(log.size());
    let wanted = Wanted {
        policy: release.policy().to_string(),
        rule: context.asked("rule").map(str::to_string),
        tried: mode == Mode::Shadow,
        until: Some(until),
        after: instant(context, "from")?.unwrap_or(i64::MIN),
        before: instant(context, "to")?.unwrap_or(i64::MAX),
    };
    let (lately, limits) = (context.shared.maps.clone(), context.shared.options.ingest.clone());
    let (asked, of) = (wanted.clone(), release.clone());
    let looked = tokio::task::spawn_blocking(move || {
        let spots = lately.get(&asked, || places::find(&log, &data, &limits, Some((&of, grant)), &asked))?;
        // Without outlines there is a map all the same.
        let outlines = places::outlines_of(&data, &of).inspect_err(|error| tracing::warn!(error, "A policy has no outlines on the map"));
        Ok::<_, places::ArchiveError>((spots, outlines.unwrap_or_default()))
    });
    let (spots, outlines) = match looked.await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::error!(%error, "Findings cannot be looked up for a map");
            return Err(Problem::new(Cause::Internal, format!("{error}.")));
        }
        Err(_) => return Err(Problem::new(Cause::Internal, "The look-up broke down.")),
    };
    let mut kinds: Vec<String> = outlines.iter().filter_map(|outline| outline.kind.clone()).collect();
    kinds.sort();
    kinds.dedup();
    let rules = release.manifest.rules.iter().map(|rule| rule.id.clone()).collect();
    Ok(Some(Found { policies, release, wanted, spots, outlines, kinds, rules }))
}

/// A day or a time of the form, in UTC, in microseconds since 1970.
fn instant(context: &Context<'_>, name: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = context.asked(name) else { return Ok(None) };
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_string(),
    };
    let time = OffsetDateTime::parse(&whole, &Rfc3339)
        .map_err(|_| Problem::new(Cause::Query, format!("{text:?} is no time; write 2026-01-31 or 2026-01-31T12:00.")))?;
    Ok(i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000)).ok())
}

impl Found {
    /// What the view was asked with, but for the window.
    fn query<'q>(&'q self, context: &'q Context<'_>, until: &'q str) -> Vec<(&'q str, &'q str)> {
        let mut query = vec![("policy", self.release.policy())];
        query.extend(["rule", "from", "to"].into_iter().filter_map(|name| context.asked(name).map(|value| (name, value))));
        query.push(("until", until));
        query
    }

    /// The part of the earth that was asked for; absent if there is nothing to show.
    fn window(&self, context: &Context<'_>) -> Option<Window> {
        let whole = Bounds::whole(&self.outlines, &self.spots.spots)?;
        let degrees = |name: &str, most: f64| context.asked(name)?.parse::<f64>().ok().filter(|value| value.abs() <= most);
        match context.asked("zoom").and_then(|zoom| zoom.parse().ok()) {
            Some(zoom) => Some(Window::new(whole, zoom, degrees("lat", 90.0).zip(degrees("lng", 180.0)))),
            None => Some(Window::first(whole, &self.spots.spots)),
        }
    }

    fn drawing<'f>(&'f self, context: &Context<'_>, window: Window, query: Vec<(&'f str, &'f str)>) -> Drawing<'f> {
        let spots = self.spots.spots.iter().filter(|spot| window.shows(&spot.place)).collect();
        Drawing {
            release: &self.release,
            whole: context.viewer.is_whole(),
            outlines: &self.outlines,
            kinds: &self.kinds,
            rules: &self.rules,
            spots,
            window,
            query,
        }
    }

    /// What is on the drawing, in a sentence.
    fn says(&self, context: &Context<'_>, drawing: &Drawing<'_>) -> String {
        let (shown, all) = (drawing.spots.len() as u64, self.spots.spots.len() as u64);
        let areas = context.count("map.areas", self.outlines.len() as u64);
        let values = [("policy", self.release.policy()), ("shown", &number(shown)), ("all", &number(all)), ("areas", &areas)];
        context.text_with("map.says", &values)
    }
}

/// The drawing as a file.
pub(super) async fn file(context: &Context<'_>) -> Option<String> {
    let found = look_up(context).await.ok()??;
    let until = found.wanted.until.unwrap_or_default().to_string();
    let drawing = found.drawing(context, found.window(context)?, found.query(context, &until));
    let says = found.says(context, &drawing);
    Some(drawing.to_file(context, context.text("map.title"), &says))
}

pub(super) async fn view(context: &Context<'_>) -> Result<Markup, Problem> {
    let body = match look_up(context).await? {
        None => html! { (parts::empty(context.text("map.no-policy"))) },
        Some(found) => {
            let until = found.wanted.until.unwrap_or_default().to_string();
            let query = found.query(context, &until);
            html! {
                (filters(context, &found))
                @match found.window(context) {
                    None => (parts::empty(context.text("map.nothing"))),
                    Some(window) => (shown(context, &found, &found.drawing(context, window, query))),
                }
                (parts::script("map.js"))
            }
        }
    };
    Ok(layout(context, context.text("map.title"), Some(Tab::Map), &body))
}

fn filters(context: &Context<'_>, found: &Found) -> Markup {
    let day = |name: &str, label: &str| {
        html! { label.field { span { (label) } input type="date" name=(name) value=[context.asked(name).and_then(|value| value.get(..10))]; } }
    };
    html! {
        form.filters.card.across method="get" action="/map" {
            label.field {
                span { (context.text("map.policy")) }
                select name="policy" {
                    @for policy in &found.policies { option value=(policy) selected[policy == found.release.policy()] { (policy) } }
                }
            }
            label.field {
                span { (context.text("map.rule")) }
                select name="rule" {
                    option value="" { (context.text("map.any-rule")) }
                    @for rule in &found.rules { option value=(rule) selected[found.wanted.rule.as_ref() == Some(rule)] { (rule) } }
                }
            }
            (day("from", context.text("map.from")))
            (day("to", context.text("map.to")))
            div.buttons {
                button.primary type="submit" { (context.text("map.show")) }
                a.button href=(link("/map", &[("policy", found.release.policy())])) { (context.text("map.clear")) }
            }
        }
    }
}

fn shown(context: &Context<'_>, found: &Found, drawing: &Drawing<'_>) -> Markup {
    let says = found.says(context, drawing);
    html! {
        section.card id="map" aria-labelledby="map-title" {
            h2 id="map-title" { (context.text("map.where")) }
            p id="map-says" role="status" { (says) }
            div.map tabindex="0" role="group" aria-label=(context.text("map.keys")) {
                div.surface {
                    svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="xMidYMid slice" role="group" aria-label=(says) data-lat=(drawing.window.lat) data-lng=(drawing.window.lng)
                        data-scale=(drawing.window.scale) data-shrink=(drawing.window.shrink) data-zoom=(drawing.window.zoom) data-zoom-max=(ZOOM_MAX) {
                        (drawing.content(context))
                    }
                }
                (controls(context, drawing))
            }
            (legend(context, found, drawing))
            (remarks(context, found, drawing))
            div.buttons {
                @let window = drawing.window;
                @let zoom = window.zoom.to_string();
                @let middle = [format!("{:.5}", window.lat), format!("{:.5}", window.lng)];
                @let query: Vec<(&str, &str)> = drawing.query.iter().copied().chain([("lat", middle[0].as_str()), ("lng", middle[1].as_str()), ("zoom", zoom.as_str())]).collect();
                a.button href=(link("/plots/map.svg", &query)) download="ephor-map.svg" { (context.text("plot.svg")) }
            }
        }
        (list(context, drawing))
    }
}

/// Links that move the map.
fn controls(context: &Context<'_>, drawing: &Drawing<'_>) -> Markup {
    let window = &drawing.window;
    let here = (window.lat, window.lng);
    let nearer = (window.zoom < ZOOM_MAX).then(|| drawing.link_to(here, window.zoom + 1));
    let farther = window.zoom.checked_sub(1).map(|zoom| drawing.link_to(here, zoom));
    let moved = |east: f64, north: f64| Some(drawing.link_to(window.moved(east, north), window.zoom));
    let whole: Vec<(&str, &str)> = drawing.query.iter().copied().chain([("zoom", "0")]).collect();
    let all = [
        ("in", context.text("map.in"), nearer, "M8 3v10M3 8h10"),
        ("out", context.text("map.out"), farther, "M3 8h10"),
        ("west", context.text("map.west"), moved(-0.3, 0.0), "M10 3 5 8l5 5"),
        ("north", context.text("map.north"), moved(0.0, 0.3), "M3 10l5-5 5 5"),
        ("south", context.text("map.south"), moved(0.0, -0.3), "M3 6l5 5 5-5"),
        ("east", context.text("map.east"), moved(0.3, 0.0), "M6 3l5 5-5 5"),
        ("whole", context.text("map.whole"), Some(link("/map", &whole)), "M3 6V3h3M10 3h3v3M13 10v3h-3M6 13H3v-3"),
    ];
    html! {
        div.controls {
            @for (name, words, href, icon) in all {
                @if let Some(href) = href {
                    a.button href=(href) data-map=(name) title=(words) aria-label=(words) {
                        svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" { path d=(icon) fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" {} }
                    }
                }
            }
        }
    }
}

fn legend(context: &Context<'_>, found: &Found, drawing: &Drawing<'_>) -> Markup {
    let count = |rule: &str| drawing.spots.iter().filter(|spot| spot.rule == rule).count() as u64;
    let summary = |rule: &str| found.release.manifest.rules.iter().find(|known| known.id == rule).map(|known| known.legal_basis.as_str());
    html! {
        div.legends {
            ul.legend aria-label=(context.text("map.rules")) {
                @for (at, rule) in found.rules.iter().enumerate() {
                    @let n = count(rule);
                    li.absent[n == 0] title=[summary(rule)] { (draw::rule_mark(at % LOOKS)) " " (rule) " " span.note { (number(n)) } }
                }
            }
            @if !found.kinds.is_empty() {
                ul.legend aria-label=(context.text("map.outlines")) {
                    @for (at, kind) in found.kinds.iter().enumerate() { li { (draw::kind_mark(at % LOOKS)) " " (kind.replace('_', " ")) } }
                }
            }
        }
    }
}

/// What the drawing does not show.
fn remarks(context: &Context<'_>, found: &Found, drawing: &Drawing<'_>) -> Markup {
    let places::Count { entries: (first, last), earlier, not_kept, nowhere, left_out, .. } = found.spots.count;
    let outside = (found.spots.spots.len() - drawing.spots.len()) as u64;
    let mut said = Vec::new();
    if found.wanted.tried {
        said.push(context.text("map.tried").to_string());
    }
    if drawing.spots.iter().any(|spot| !spot.place.is_exact()) {
        said.push(context.text("map.coarse").to_string());
    }
    if outside > 0 {
        said.push(context.count("map.outside", outside));
    }
    if not_kept > 0 {
        said.push(context.count("map.not-kept", not_kept));
    }
    if nowhere > 0 {
        said.push(context.count("map.nowhere", nowhere));
    }
    if left_out > 0 {
        said.push(context.text_with("map.left-out", &[("n", &number(left_out)), ("max", &number(SPOTS_MAX as u64))]));
    }
    let before = first.saturating_sub(1).to_string();
    let mut query: Vec<(&str, &str)> = drawing.query.iter().copied().filter(|(name, _)| *name != "until").collect();
    query.push(("until", &before));
    html! {
        ul.remarks {
            @for one in &said { li { (one) } }
            li {
                (context.text_with("map.entries", &[("first", &number(first)), ("last", &number(last))])) " "
                @if earlier { a href=(link("/map", &query)) { (context.text("map.earlier")) } }
            }
        }
    }
}

/// The latest findings on the drawing, for who would rather read.
fn list(context: &Context<'_>, drawing: &Drawing<'_>) -> Markup {
    let head = [
        Column::text(context.text("map.when")),
        Column::text(context.text("map.said")),
        Column::text(context.text("map.place")),
        Column::text(context.text("feed.subject")),
        Column::number(context.text("feed.entry")),
    ];
    let rows = html! {
        @for spot in drawing.spots.iter().rev().take(LISTED_MAX) {
            tr {
                td { (parts::time_text(&spot.time)) }
                td.long { (drawing.message(context, spot)) div.note { (draw::rule_mark(Drawing::look_of(&spot.rule, drawing.rules))) " " (spot.rule) } }
                td { (place(context, spot)) }
                td.long data-is=(context.text("feed.subject")) { (drawing.subject(spot).unwrap_or("–")) }
                td.number data-is=(context.text("feed.entry")) { (parts::event(spot.sequence)) }
            }
        }
    };
    let (shown, all) = (drawing.spots.len().min(LISTED_MAX) as u64, drawing.spots.len() as u64);
    let body = html! {
        @if all == 0 {
            (parts::empty(context.text("map.none-here")))
        } @else {
            p.note { (context.text_with("map.listed", &[("n", &number(shown)), ("all", &number(all))])) }
            div.stacked { (parts::table(context.text("map.list"), &head, &rows)) }
        }
    };
    parts::section("map-list", context.text("map.list"), &body)
}

/// A place in degrees, as exact as it is known.
fn place(context: &Context<'_>, spot: &Spot) -> Markup {
    let (latitude, longitude) = (spot.place.latitude, spot.place.longitude);
    html! {
        @if spot.place.is_exact() {
            span.degrees { (format!("{:.5}, {:.5}", latitude.low, longitude.low)) }
        } @else {
            @let (wide, high) = window::size(&spot.place);
            span.degrees { (format!("{:.3} – {:.3}, {:.3} – {:.3}", latitude.low, latitude.high, longitude.low, longitude.high)) }
            div.note { (context.text_with("map.somewhere", &[("wide", &number(wide)), ("high", &number(high))])) }
        }
    }
}
