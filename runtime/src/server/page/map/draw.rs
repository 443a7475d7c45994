//! The drawing: outlines below, findings above. Colours are classes, which the page's sheet
//! and the file's own give a value; every kind has a shape or a stroke of its own as well.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use maud::{Markup, PreEscaped, Render as _, html};

use super::super::context::{Context, link};
use super::super::parts::number;
use super::window::{HEIGHT, WIDTH, Window, size};
use crate::places::{Outline, Place, Spot};
use crate::policy::Release;
use crate::verdict::message;

/// Kinds that have a look of their own; further ones begin again.
pub(super) const LOOKS: usize = 6;

/// Findings that are drawn one by one; more are drawn in groups.
const SINGLE_MAX: usize = 400;

/// How wide the field is whose findings are one group, and how large a single one is drawn.
const FIELD: f64 = 42.0;
const RADIUS: f64 = 5.0;

/// Corners that are nearer to the one before are left out.
const CORNER: f64 = 0.4;

/// What is drawn.
pub(super) struct Drawing<'a> {
    pub release: &'a Release,
    /// Whether whom events are about may be shown.
    pub whole: bool,
    pub outlines: &'a [Outline],
    /// Kinds of outlines, in the order of their looks.
    pub kinds: &'a [String],
    /// Rules, in the order of their looks.
    pub rules: &'a [String],
    pub spots: Vec<&'a Spot>,
    pub window: Window,
    /// What the view was asked with, but for the window.
    pub query: Vec<(&'a str, &'a str)>,
}

/// Findings in one field.
#[derive(Default)]
struct Group<'a> {
    x: f64,
    y: f64,
    spots: Vec<&'a Spot>,
}

impl Drawing<'_> {
    /// The look of a rule or a kind among all of them.
    pub(super) fn look_of(of: &str, all: &[String]) -> usize {
        all.iter().position(|known| known == of).unwrap_or_default() % LOOKS
    }

    /// What was said, in the viewer's language if the rule has it, as it is now.
    pub(super) fn message(&self, context: &Context<'_>, spot: &Spot) -> String {
        match self.release.manifest.rules.iter().find(|rule| rule.id == spot.rule) {
            Some(rule) => message(rule, Some(context.language.tag()), &spot.evidence),
            None => spot.message.clone(),
        }
    }

    /// Whom a finding is about, for who may see that.
    pub(super) fn subject<'s>(&self, spot: &'s Spot) -> Option<&'s str> {
        spot.subject.as_deref().filter(|_| self.whole)
    }

    /// What is inside of the `svg` element.
    pub(super) fn content(&self, context: &Context<'_>) -> Markup {
        let (cells, points): (Vec<&Spot>, Vec<&Spot>) = self.spots.iter().partition(|spot| !spot.place.is_exact());
        html! {
            rect.sea width=(WIDTH) height=(HEIGHT) {}
            g { @for outline in self.outlines { (self.outline(context, outline)) } }
            g { (self.cells(context, &cells)) }
            g {
                @if points.len() <= SINGLE_MAX {
                    @for spot in &points { (self.single(context, spot)) }
                } @else {
                    @for group in self.groups(&points) { (self.group(context, &group)) }
                }
            }
            (self.rule())
        }
    }

    fn outline(&self, context: &Context<'_>, outline: &Outline) -> Markup {
        let mut path = String::new();
        for ring in &outline.rings {
            let mut before: Option<(f64, f64)> = None;
            for (lng, lat) in ring {
                let (x, y) = (self.window.x(*lng), self.window.y(*lat));
                match before {
                    None => drop(write!(path, "M{x:.1} {y:.1}")),
                    Some((left, top)) if (x - left).hypot(y - top) < CORNER => continue,
                    Some(_) => drop(write!(path, "L{x:.1} {y:.1}")),
                }
                before = Some((x, y));
            }
            path.push('Z');
        }
        let look = outline.kind.as_deref().map_or(0, |kind| Self::look_of(kind, self.kinds));
        let name = outline.name.as_deref().unwrap_or(context.text("map.unnamed"));
        let kind = outline.kind.as_deref().map(|kind| format!(" ({})", kind.replace('_', " "))).unwrap_or_default();
        html! { path class={ "area k" (look) } d=(path) fill-rule="evenodd" { title { (name) (kind) } } }
    }

    /// Positions that are known to be in a cell only: the cell, darker where more are in it.
    fn cells(&self, context: &Context<'_>, spots: &[&Spot]) -> Markup {
        let mut all: BTreeMap<(u64, u64, usize), (Place, &str, u64)> = BTreeMap::new();
        for spot in spots {
            let Place { latitude, longitude } = spot.place;
            let key = (latitude.low.to_bits(), longitude.low.to_bits(), Self::look_of(&spot.rule, self.rules));
            all.entry(key).or_insert((spot.place, &spot.rule, 0)).2 += 1;
        }
        let most = all.values().map(|(.., count)| *count).max().unwrap_or(1).max(1);
        html! {
            @for ((_, _, look), (place, rule, count)) in &all {
                @let (left, top) = (self.window.x(place.longitude.low), self.window.y(place.latitude.high));
                @let (wide, high) = (self.window.x(place.longitude.high) - left, self.window.y(place.latitude.low) - top);
                @let depth = 0.12 + 0.5 * (*count as f64 / most as f64).sqrt();
                @let (metres_wide, metres_high) = size(place);
                @let values = [("n", number(*count)), ("rule", (*rule).to_string()), ("wide", number(metres_wide)), ("high", number(metres_high))];
                rect class={ "cell r" (look) } x=(px(left)) y=(px(top)) width=(px(wide)) height=(px(high)) fill-opacity=(format!("{depth:.2}")) {
                    title { (context.text_with("map.cell", &values.each_ref().map(|(name, value)| (*name, value.as_str())))) }
                }
                text.count x=(px(left + wide / 2.0)) y=(px(top + high / 2.0 + 4.0)) { (number(*count)) }
            }
        }
    }

    fn single(&self, context: &Context<'_>, spot: &Spot) -> Markup {
        let look = Self::look_of(&spot.rule, self.rules);
        let (x, y) = (self.window.x(spot.place.longitude.middle()), self.window.y(spot.place.latitude.middle()));
        let name = match self.subject(spot) {
            Some(subject) => format!("{}, {subject}", self.message(context, spot)),
            None => self.message(context, spot),
        };
        html! {
            a href={ "/event/" (spot.sequence) } tabindex="-1" aria-label=(name) {
                path class={ "spot r" (look) } d=(shape(look, x, y, RADIUS)) { title { (name) } }
            }
        }
    }

    fn groups<'s>(&self, spots: &[&'s Spot]) -> Vec<Group<'s>> {
        let mut fields: BTreeMap<(i64, i64), Group<'s>> = BTreeMap::new();
        for spot in spots {
            let (x, y) = (self.window.x(spot.place.longitude.middle()), self.window.y(spot.place.latitude.middle()));
            let group = fields.entry(((y / FIELD).floor() as i64, (x / FIELD).floor() as i64)).or_default();
            (group.x, group.y) = (group.x + x, group.y + y);
            group.spots.push(spot);
        }
        // In the middle of its findings, but never so near to the edge that it covers another.
        let within = |middle: f64, field: i64| (middle - field as f64 * FIELD).clamp(FIELD * 0.38, FIELD * 0.62) + field as f64 * FIELD;
        let middle = |((row, column), mut group): ((i64, i64), Group<'s>)| {
            let count = group.spots.len() as f64;
            (group.x, group.y) = (group.x / count, group.y / count);
            if group.spots.len() > 1 {
                (group.x, group.y) = (within(group.x, column), within(group.y, row));
            }
            group
        };
        fields.into_iter().map(middle).collect()
    }

    /// A group has the look of the rule that is found most in it.
    fn group(&self, context: &Context<'_>, group: &Group<'_>) -> Markup {
        let count = group.spots.len();
        if let [only] = group.spots[..] {
            return self.single(context, only);
        }
        let mut rules: BTreeMap<&str, u64> = BTreeMap::new();
        group.spots.iter().for_each(|spot| *rules.entry(&spot.rule).or_default() += 1);
        let mut rules: Vec<(&str, u64)> = rules.into_iter().collect();
        rules.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let look = rules.first().map_or(0, |(rule, _)| Self::look_of(rule, self.rules));
        let radius = (8.0 + 1.8 * (count as f64).log2()).min(FIELD * 0.45);
        let said: Vec<String> = rules.iter().map(|(rule, count)| format!("{rule}: {}", number(*count))).collect();
        let name = format!("{} ({})", context.count("map.findings", count as u64), said.join(", "));
        let middle = group
            .spots
            .iter()
            .fold((0.0, 0.0), |(lat, lng), spot| (lat + spot.place.latitude.middle(), lng + spot.place.longitude.middle()));
        let href = self.link_to((middle.0 / count as f64, middle.1 / count as f64), self.window.zoom.saturating_add(2));
        html! {
            a href=(href) data-map tabindex="-1" aria-label=(name) {
                path class={ "group r" (look) } d=(shape(look, group.x, group.y, radius)) { title { (name) } }
                text.count x=(px(group.x)) y=(px(group.y + 4.0)) { (short(count)) }
            }
        }
    }

    /// Where the same is with another window.
    pub(super) fn link_to(&self, (lat, lng): (f64, f64), zoom: u8) -> String {
        let (lat, lng, zoom) = (format!("{lat:.5}"), format!("{lng:.5}"), zoom.to_string());
        let mut query = self.query.clone();
        query.extend([("lat", lat.as_str()), ("lng", lng.as_str()), ("zoom", zoom.as_str())]);
        link("/map", &query)
    }

    /// How long a length on earth is.
    fn rule(&self) -> Markup {
        let (metres, long) = self.window.rule();
        let words = if metres >= 1_000 { format!("{} km", metres / 1_000) } else { format!("{metres} m") };
        let (left, low) = (24.0, HEIGHT - 22.0);
        html! {
            path.scale d={ "M" (px(left)) " " (px(low - 6.0)) "v6h" (px(long)) "v-6" } {}
            text.scale-name x=(px(left + 4.0)) y=(px(low - 8.0)) { (words) }
        }
    }

    /// As a file that stands for itself.
    pub(super) fn to_file(&self, context: &Context<'_>, title: &str, description: &str) -> String {
        let below = 22.0 * (self.rules.len() + self.kinds.len()) as f64 + 52.0;
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{}\" viewBox=\"0 0 {WIDTH} {}\">",
            HEIGHT + below,
            HEIGHT + below
        );
        let drawing = html! {
            title { (title) } desc { (description) }
            style { (PreEscaped(FILE_STYLE)) }
            rect width=(WIDTH) height=(HEIGHT + below) fill="#ffffff" {}
            svg width=(WIDTH) height=(HEIGHT) viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } { (self.content(context)) }
            text.words x="12" y=(HEIGHT + 24.0) { (description) }
            @for (at, name) in self.rules.iter().enumerate() {
                @let y = HEIGHT + 46.0 + 22.0 * at as f64;
                path class={ "spot r" (at % LOOKS) } d=(shape(at % LOOKS, 24.0, y, 6.0)) {}
                text.words x="40" y=(y + 5.0) { (name) }
            }
            @for (at, name) in self.kinds.iter().enumerate() {
                @let y = HEIGHT + 46.0 + 22.0 * (self.rules.len() + at) as f64;
                rect class={ "area k" (at % LOOKS) } x="14" y=(y - 7.0) width="20" height="14" {}
                text.words x="40" y=(y + 5.0) { (name.replace('_', " ")) }
            }
        };
        // A file leads nowhere.
        out.push_str(&drawing.render().into_string().replace(" href=\"/", " data-at=\"/"));
        out.push_str("</svg>\n");
        out
    }
}

/// The look of a rule beside words.
pub(super) fn rule_mark(look: usize) -> Markup {
    html! { svg.mark-of viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" { path class={ "spot r" (look) } d=(shape(look, 8.0, 8.0, 6.0)) {} } }
}

/// The look of an outline beside words.
pub(super) fn kind_mark(look: usize) -> Markup {
    html! { svg.mark-of viewBox="0 0 22 16" width="22" height="16" aria-hidden="true" { rect class={ "area k" (look) } x="1.5" y="1.5" width="19" height="13" {} } }
}

/// A shape for each look, around a middle.
fn shape(look: usize, x: f64, y: f64, r: f64) -> String {
    let corners = |corners: &[(f64, f64)]| {
        let mut path = String::new();
        for (at, (right, down)) in corners.iter().enumerate() {
            let _ = write!(path, "{}{:.1} {:.1}", if at == 0 { 'M' } else { 'L' }, x + right * r, y + down * r);
        }
        path + "Z"
    };
    match look {
        0 => format!("M{:.1} {y:.1}a{r:.1} {r:.1} 0 1 0 {:.1} 0a{r:.1} {r:.1} 0 1 0 {:.1} 0Z", x - r, 2.0 * r, -2.0 * r),
        1 => corners(&[(0.0, -1.15), (1.1, 0.8), (-1.1, 0.8)]),
        2 => corners(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        3 => corners(&[(0.0, -1.2), (1.2, 0.0), (0.0, 1.2), (-1.2, 0.0)]),
        4 => corners(&[(0.0, 1.15), (1.1, -0.8), (-1.1, -0.8)]),
        _ => corners(&[(-0.55, -1.0), (0.55, -1.0), (1.1, 0.0), (0.55, 1.0), (-0.55, 1.0), (-1.1, 0.0)]),
    }
}

/// A coordinate of the drawing.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// A count that fits into a group.
fn short(count: usize) -> String {
    match count {
        ..1_000 => count.to_string(),
        1_000..10_000 => format!("{:.1}k", count as f64 / 1e3),
        _ => format!("{}k", count / 1_000),
    }
}

/// The sheet of a file: the colours of the light theme.
const FILE_STYLE: &str = "\
text{font-family:sans-serif;font-size:12px;fill:#17212b}.sea{fill:#f4f6f8}.area{fill-opacity:.1;stroke-width:1.4}\
.k0{fill:#6a3fb5;stroke:#6a3fb5}.k1{fill:#17724a;stroke:#17724a;stroke-dasharray:6 3}.k2{fill:#52606d;stroke:#52606d;stroke-dasharray:2 3}\
.k3{fill:#8a5a00;stroke:#8a5a00;stroke-dasharray:9 3 2 3}.k4{fill:#17467a;stroke:#17467a}.k5{fill:#b3202f;stroke:#b3202f;stroke-dasharray:4 2}\
.spot,.group{stroke:#ffffff;stroke-width:1}.cell{stroke-width:.8;stroke-opacity:.5}.count{text-anchor:middle;font-size:11px;font-weight:600;paint-order:stroke;stroke:#ffffff;stroke-width:2.5px}\
.r0{fill:#d55e00}.r1{fill:#0072b2}.r2{fill:#c9468f}.r3{fill:#8a7a00}.r4{fill:#00795c}.r5{fill:#5b5b66}\
.cell.r0{stroke:#d55e00}.cell.r1{stroke:#0072b2}.cell.r2{stroke:#c9468f}.cell.r3{stroke:#8a7a00}.cell.r4{stroke:#00795c}.cell.r5{stroke:#5b5b66}\
.scale{fill:none;stroke:#17212b;stroke-width:1.5}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_look_has_a_shape_of_its_own() {
        let shapes: std::collections::BTreeSet<String> = (0..LOOKS).map(|look| shape(look, 8.0, 8.0, 6.0)).collect();
        assert_eq!(shapes.len(), LOOKS);
        assert!(shapes.iter().all(|shape| shape.starts_with('M') && shape.ends_with('Z')));
        assert_eq!([7, 999, 1_234, 20_000].map(short), ["7", "999", "1.2k", "20k"]);
    }
}
