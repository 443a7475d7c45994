//! Pictures of numbers, drawn by plotters as SVG.
//!
//! A plot is drawn twice, for wide and for narrow windows, in real colours: so the file
//! that is given out stands for itself. On the page each colour is replaced by the name
//! of the theme's, and each label of a time by one that a script puts in the viewer's zone.

use std::fmt::Write as _;
use std::ops::Range;

use maud::{Markup, PreEscaped, Render as _, html};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::{
    ChartBuilder, Color as _, DrawingArea, IntoDrawingArea as _, IntoFont as _, RGBColor, Rectangle, SVGBackend, ShapeStyle, Text,
    TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use time::OffsetDateTime;

use super::context::{Context, link};
use super::parts;

/// Pixels of a colour in a legend, with the spaces around it.
const KEY_PIXELS: i32 = 17 + 14;

/// Pixels of a plot in a wide window, and in a narrow one.
const WIDE: (u32, u32) = (1_000, 320);
const NARROW: (u32, u32) = (330, 380);

/// Pixels below which a legend has a line of its own.
const LEGEND_BESIDE_MIN: u32 = 600;

/// plotters writes sizes of letters divided by this.
const LETTERS: f64 = 1.24;

/// What plots are drawn on.
pub(in crate::server) type Area<'s> = DrawingArea<SVGBackend<'s>, Shift>;

/// Why a plot was not drawn.
pub(in crate::server) type DrawError = Box<dyn std::error::Error>;

/// A colour by what it means. The two of a pair are the one in a file and the name of the
/// one in the theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Ink {
    Text,
    Faint,
    Grid,
    Ground,
    Allow,
    Flag,
    Undetermined,
    Deny,
}

impl Ink {
    const ALL: [Ink; 8] = [Ink::Text, Ink::Faint, Ink::Grid, Ink::Ground, Ink::Allow, Ink::Flag, Ink::Undetermined, Ink::Deny];

    fn pair(self) -> (RGBColor, &'static str) {
        match self {
            Ink::Text => (RGBColor(0x17, 0x21, 0x2b), "var(--text)"),
            Ink::Faint => (RGBColor(0x52, 0x60, 0x6d), "var(--faint)"),
            Ink::Grid => (RGBColor(0xdf, 0xe5, 0xea), "var(--plot-grid)"),
            Ink::Ground => (RGBColor(0xff, 0xff, 0xff), "none"),
            Ink::Allow => (RGBColor(0x4f, 0x93, 0xc6), "var(--plot-allow)"),
            Ink::Flag => (RGBColor(0xd0, 0x8a, 0x11), "var(--plot-flag)"),
            Ink::Undetermined => (RGBColor(0x8a, 0x63, 0xd2), "var(--plot-undetermined)"),
            Ink::Deny => (RGBColor(0xcf, 0x35, 0x46), "var(--plot-deny)"),
        }
    }

    /// For drawing.
    pub(in crate::server) fn colour(self) -> RGBColor {
        self.pair().0
    }
}

/// Letters of so many pixels.
pub(in crate::server) fn letters(ink: Ink, pixels: f64) -> TextStyle<'static> {
    ("sans-serif", pixels * LETTERS).into_font().color(&ink.colour())
}

/// A plot that was drawn.
pub(in crate::server) struct Plot {
    title: String,
    description: String,
    wide: String,
    narrow: String,
}

impl Plot {
    /// Draws in both sizes. The title and the description are for who hears the plot, and
    /// stand in the file.
    pub(in crate::server) fn draw(title: String, description: String, draw: impl Fn(&Area<'_>) -> Result<(), DrawError>) -> Self {
        let one = |size: (u32, u32)| {
            let mut svg = String::new();
            let drawn = {
                let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
                let drawn = area.fill(&Ink::Ground.colour()).map_err(Into::into).and_then(|()| draw(&area));
                drawn.and_then(|()| area.present().map_err(Into::into))
            };
            if let Err(error) = drawn {
                tracing::error!(%error, "A plot was not drawn");
            }
            svg
        };
        let (wide, narrow) = (one(WIDE), one(NARROW));
        Plot { title, description, wide, narrow }
    }

    /// An SVG that stands for itself, with times in UTC.
    pub(in crate::server) fn to_file(&self) -> String {
        let labelled = labels(&self.wide, |label| match label {
            Label::Time(seconds, form) => clock(seconds, form),
            Label::Zone => "UTC".to_string(),
        });
        let (head, rest) = labelled.split_once(">\n").unwrap_or((&labelled, ""));
        let text = html! { title { (self.title) } desc { (self.description) } }.into_string();
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{head}>\n{text}\n{rest}")
    }

    /// The plot on the page: `path` is where its file is, `query` what it is asked with, and
    /// `table` the same numbers as text.
    pub(in crate::server) fn to_markup(&self, context: &Context<'_>, id: &str, query: &[(&str, &str)], table: &Markup) -> Markup {
        let file = link(&format!("/plots/{id}.svg"), query);
        html! {
            figure.plot {
                (self.on_page(id, "wide", &self.wide))
                (self.on_page(id, "narrow", &self.narrow))
                figcaption {
                    span { (self.description) }
                    span.buttons {
                        a.button href=(file) download={ "ephor-" (id) ".svg" } { (context.text("plot.svg")) }
                        button.scripted type="button" data-png=(file) data-name={ "ephor-" (id) ".png" } { (context.text("plot.png")) }
                    }
                }
                details {
                    summary { (context.text("plot.table")) }
                    (table)
                }
            }
        }
    }

    fn on_page(&self, id: &str, size: &str, svg: &str) -> Markup {
        let mut svg = labels(svg, |label| match label {
            Label::Time(seconds, form) => clock(seconds, form),
            Label::Zone => "UTC".to_string(),
        });
        for ink in Ink::ALL {
            let (RGBColor(red, green, blue), name) = ink.pair();
            svg = svg.replace(&format!("\"#{red:02X}{green:02X}{blue:02X}\""), &format!("\"{name}\""));
        }
        // The root element is made anew: as large as its place, and with words.
        let inner = svg.split_once(">\n").map_or("", |(_, inner)| inner);
        let view = svg.split_once("viewBox=\"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or("0 0 1 1");
        let (title, description) = (format!("{id}-{size}-title"), format!("{id}-{size}-description"));
        let mut whole = String::with_capacity(inner.len() + 512);
        let _ = write!(
            whole,
            "<svg class=\"{size}\" viewBox=\"{view}\" role=\"img\" aria-labelledby=\"{title}\" aria-describedby=\"{description}\"><title id=\"{title}\">{}</title><desc id=\"{description}\">{}</desc>{inner}",
            self.title.render().into_string(),
            self.description.render().into_string(),
        );
        PreEscaped(whole)
    }
}

/// How a time is written at an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Clock,
    Day,
}

/// A label that is not yet the text that is shown.
enum Label {
    Time(i64, Form),
    Zone,
}

/// Hours and minutes, or month and day, in UTC.
fn clock(seconds: i64, form: Form) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(seconds) else { return String::new() };
    match form {
        Form::Clock => format!("{:02}:{:02}", at.hour(), at.minute()),
        Form::Day => format!("{:02}-{:02}", u8::from(at.month()), at.day()),
    }
}

/// What stands for a time while plotters draws: nothing else at an axis looks like this.
fn placeholder(seconds: i64, form: Form) -> String {
    format!("@{seconds}{}", if form == Form::Day { "d" } else { "c" })
}

/// Replaces what stands for labels, and gives those of times what a script needs.
fn labels(svg: &str, text: impl Fn(Label) -> String) -> String {
    let mut out = String::with_capacity(svg.len());
    let mut rest = svg;
    while let Some(at) = rest.find(">\n@") {
        let (before, behind) = (&rest[..at], &rest[at + 3..]);
        let end = behind.find('\n').unwrap_or(behind.len());
        out.push_str(before);
        let label = &behind[..end];
        if label == "zone" {
            let _ = write!(out, " class=\"unscripted\">{}", text(Label::Zone));
        } else {
            let (seconds, form) = label.split_at(label.len().saturating_sub(1));
            let form = if form == "d" { Form::Day } else { Form::Clock };
            let seconds = seconds.parse().unwrap_or_default();
            let name = if form == Form::Day { "day" } else { "clock" };
            let _ = write!(out, " data-time=\"{seconds}\" data-form=\"{name}\">{}", text(Label::Time(seconds, form)));
        }
        rest = &behind[end..];
    }
    out.push_str(rest);
    out
}

/// A stretch of time, in seconds since the Unix epoch, with marks at whole minutes, hours
/// and days.
pub(in crate::server) struct TimeRange(pub(in crate::server) Range<i64>);

impl TimeRange {
    const STEPS: [i64; 16] = [
        60,
        300,
        600,
        900,
        1_800,
        3_600,
        3 * 3_600,
        6 * 3_600,
        12 * 3_600,
        86_400,
        2 * 86_400,
        7 * 86_400,
        28 * 86_400,
        91 * 86_400,
        182 * 86_400,
        364 * 86_400,
    ];

    fn step(&self, marks_max: usize) -> i64 {
        let length = self.0.end - self.0.start;
        let fits = |step: &&i64| length / **step <= marks_max as i64;
        Self::STEPS.iter().find(fits).copied().unwrap_or(length / marks_max.max(1) as i64 + 1)
    }

    /// What stands at a mark.
    pub(in crate::server) fn label(&self, seconds: i64) -> String {
        let is_day = self.0.end - self.0.start > 2 * 86_400 || seconds.rem_euclid(86_400) == 0;
        placeholder(seconds, if is_day { Form::Day } else { Form::Clock })
    }
}

impl Ranged for TimeRange {
    type FormatOption = DefaultFormatting;
    type ValueType = i64;

    fn map(&self, value: &i64, limit: (i32, i32)) -> i32 {
        let length = (self.0.end - self.0.start).max(1) as f64;
        limit.0 + ((value - self.0.start) as f64 / length * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<i64> {
        let step = self.step(hint.max_num_points());
        let first = self.0.start.div_euclid(step) * step;
        (0..).map(|index| first + index * step).skip_while(|at| *at < self.0.start).take_while(|at| *at <= self.0.end).collect()
    }

    fn range(&self) -> Range<i64> {
        self.0.clone()
    }
}

/// Numbers of one kind over time.
pub(in crate::server) struct Series<'a> {
    pub(in crate::server) name: &'a str,
    pub(in crate::server) ink: Ink,
    pub(in crate::server) values: Vec<u64>,
}

/// Series that are stacked on each other, on an axis of their own.
pub(in crate::server) struct Panel<'a> {
    /// What is counted, and for how long.
    pub(in crate::server) unit: &'a str,
    pub(in crate::server) series: Vec<Series<'a>>,
}

/// Stacked bars, panel below panel, over one axis of time. Bar `i` is of `step` seconds
/// from `from + i * step` on.
pub(in crate::server) fn bars(area: &Area<'_>, from: i64, step: i64, panels: &[Panel<'_>]) -> Result<(), DrawError> {
    let height = area.dim_in_pixel().1;
    let each = height / panels.len().max(1) as u32;
    let mut rest = area.clone();
    for (index, panel) in panels.iter().enumerate() {
        let is_last = index + 1 == panels.len();
        let (own, below) = if is_last { (rest.clone(), rest.clone()) } else { rest.split_vertically(each) };
        bars_of(&own, from, step, panel, is_last)?;
        rest = below;
    }
    let (width, height) = area.dim_in_pixel();
    let style = letters(Ink::Faint, 12.0).pos(Pos::new(HPos::Left, VPos::Bottom));
    area.draw(&Text::new("@zone", ((8).min(width as i32), height as i32 - 4), style))?;
    Ok(())
}

fn bars_of(area: &Area<'_>, from: i64, step: i64, panel: &Panel<'_>, is_last: bool) -> Result<(), DrawError> {
    let count = panel.series.iter().map(|series| series.values.len()).max().unwrap_or_default();
    let total = |index: usize| panel.series.iter().filter_map(|series| series.values.get(index)).sum::<u64>();
    let top = (0..count).map(total).max().unwrap_or_default().max(4) as f64 * 1.1;
    let (width, _) = area.dim_in_pixel();
    let has_legend = panel.series.len() > 1;
    let range = TimeRange(from..from + step * count.max(1) as i64);
    let label = TimeRange(range.0.clone());
    let mut chart = ChartBuilder::on(area)
        .margin_top(if has_legend && width < LEGEND_BESIDE_MIN { 50 } else { 30 })
        .margin_right(22)
        .x_label_area_size(if is_last { 26 } else { 10 })
        .y_label_area_size(54)
        .build_cartesian_2d(range, 0.0..top)?;
    let marks = if width < LEGEND_BESIDE_MIN { 5 } else { 10 };
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh()
        .light_line_style(Ink::Grid.colour().mix(0.0))
        .bold_line_style(Ink::Grid.colour())
        .axis_style(Ink::Faint.colour())
        .label_style(letters(Ink::Faint, 12.0))
        .x_labels(marks)
        .y_labels(4);
    let (at_time, no_label) = (|at: &i64| label.label(*at), |_: &i64| String::new());
    let at_height = |value: &f64| short(*value);
    mesh.y_label_formatter(&at_height);
    if is_last {
        mesh.x_label_formatter(&at_time)
    } else {
        mesh.x_label_formatter(&no_label)
    };
    mesh.draw()?;
    // What is there is seen, however little it is.
    let (plot_width, plot_height) = chart.plotting_area().dim_in_pixel();
    let least = top / f64::from(plot_height.max(1)) * 2.0;
    let gap = u32::from(plot_width / count.max(1) as u32 >= 6);
    for index in 0..count {
        let begin = from + step * index as i64;
        let mut low = 0.0;
        for series in &panel.series {
            let value = series.values.get(index).copied().unwrap_or_default();
            if value == 0 {
                continue;
            }
            let high = low + (value as f64).max(least);
            let mut bar = Rectangle::new([(begin, low), (begin + step, high)], ShapeStyle::from(series.ink.colour()).filled());
            bar.set_margin(0, 0, gap, gap);
            chart.plotting_area().draw(&bar)?;
            low = high;
        }
    }
    legend(area, panel)
}

/// What is counted, and the series by name, above the panel.
fn legend(area: &Area<'_>, panel: &Panel<'_>) -> Result<(), DrawError> {
    let style = letters(Ink::Text, 13.0).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&Text::new(panel.unit.to_string(), (8, 14), style))?;
    if panel.series.len() < 2 {
        return Ok(());
    }
    // Against the right edge, because the unit stands at the left; or below it.
    let whole: i32 = panel.series.iter().map(|series| width_of(series.name) + KEY_PIXELS).sum();
    let width = area.dim_in_pixel().0;
    let (mut left, middle) = if width < LEGEND_BESIDE_MIN { (8, 34) } else { (width as i32 - 12 - whole, 14) };
    for series in &panel.series {
        area.draw(&Rectangle::new([(left, middle - 5), (left + 11, middle + 6)], ShapeStyle::from(series.ink.colour()).filled()))?;
        let style = letters(Ink::Text, 12.0).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(series.name.to_string(), (left + 17, middle), style))?;
        left += width_of(series.name) + KEY_PIXELS;
    }
    Ok(())
}

/// About as wide as a text is in letters of 12 pixels: the fonts are the viewer's.
fn width_of(text: &str) -> i32 {
    text.chars().map(|c| if c.is_ascii() { 7 } else { 12 }).sum()
}

/// A number at an axis.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e9 => format!("{}G", trimmed(value / 1e9)),
        value if value >= 1e6 => format!("{}M", trimmed(value / 1e6)),
        value if value >= 1e4 => format!("{}k", trimmed(value / 1e3)),
        value if value.fract() == 0.0 => parts::number(value as u64),
        // Between two whole numbers there is nothing to count.
        _ => String::new(),
    }
}

fn trimmed(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        let panel = || Panel { unit: "events & more", series: vec![Series { name: "a", ink: Ink::Deny, values: vec![1, 0, 90_000] }] };
        Plot::draw("A <title>".into(), "says".into(), |area| bars(area, 1_763_640_000, 3_600, &[panel(), panel()]))
    }

    #[test]
    fn a_file_stands_for_itself() {
        let file = plot().to_file();
        assert!(file.contains("xmlns=\"http://www.w3.org/2000/svg\"") && file.contains("#CF3546"), "{file}");
        assert!(file.contains("A &lt;title&gt;") && file.contains(">12:00") && file.contains("UTC"), "{file}");
        assert!(!file.contains("var(") && !file.contains('@'));
    }

    #[test]
    fn on_the_page_colours_are_the_themes() {
        let plot = plot();
        let page = plot.on_page("verdicts", "wide", &plot.wide).into_string();
        assert!(page.contains("var(--plot-deny)") && page.contains("data-time=\"1763640000\""), "{page}");
        assert!(!page.contains("\"#") && !page.contains("style="), "{page}");
        assert!(page.ends_with("</svg>\n"), "{page}");
    }

    #[test]
    fn marks_are_at_whole_hours() {
        let range = TimeRange(1_763_640_010..1_763_640_010 + 86_400);
        let step = range.step(10);
        assert_eq!(step, 3 * 3_600);
        assert_eq!([short(0.5), short(3.0), short(20_000.0), short(1_500_000.0)], ["", "3", "20k", "1.5M"]);
    }
}
