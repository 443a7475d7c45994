//! What was seen, over time: one panel for each figure, under each other.

use std::error::Error;
use std::path::Path;

use ephor_tests::soak::{Phase, Sample};
use plotters::prelude::*;

/// Pixels.
const WIDTH: u32 = 1_000;
const PANEL: u32 = 180;

/// A line by its name, and how it is read.
type Line = (&'static str, fn(&Sample) -> Option<f64>);
/// Points by the name of their line.
type Points = (&'static str, Vec<(f64, f64)>);

fn mib(bytes: u64) -> Option<f64> {
    Some(bytes as f64 / 1024.0 / 1024.0)
}

/// Panels by their names, and their lines.
fn panels() -> Vec<(&'static str, Vec<Line>)> {
    vec![
        ("memory, MiB", vec![("resident", |sample| mib(sample.rss)), ("anonymous", |sample| mib(sample.anonymous))]),
        ("memory maps", vec![("all", |sample| Some(sample.maps as f64)), ("of code", |sample| Some(sample.code as f64))]),
        ("open files and threads", vec![("files", |sample| Some(sample.files as f64)), ("threads", |sample| Some(sample.threads as f64))]),
        (
            "answer time of one event, ms",
            vec![("p50", |sample| sample.probe.map(|(p50, _)| p50)), ("p99", |sample| sample.probe.map(|(_, p99)| p99))],
        ),
    ]
}

/// Answers a second, between two samples.
fn rates(samples: &[Sample]) -> Vec<(f64, f64)> {
    let rate = |pair: &[Sample]| {
        let span = (pair[1].at - pair[0].at).max(0.001);
        (pair[1].at, (pair[1].answered - pair[0].answered) as f64 / span)
    };
    samples.windows(2).map(rate).collect()
}

/// Draws them all.
pub fn draw(file: &Path, samples: &[Sample]) -> Result<(), Box<dyn Error>> {
    let mut all: Vec<(&str, Vec<Points>)> = Vec::new();
    for (name, lines) in panels() {
        let points = |read: fn(&Sample) -> Option<f64>| samples.iter().filter_map(|sample| Some((sample.at, read(sample)?))).collect();
        all.push((name, lines.into_iter().map(|(line, read)| (line, points(read))).collect()));
    }
    all.push(("events a second", vec![("answered", rates(samples))]));
    let end = samples.last().map_or(1.0, |last| last.at.max(1.0));
    let root = SVGBackend::new(file, (WIDTH, PANEL * all.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (name, lines)) in root.split_evenly((all.len(), 1)).iter().zip(&all) {
        let most = lines.iter().flat_map(|(_, points)| points).map(|point| point.1).fold(1.0, f64::max) * 1.1;
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .caption(*name, ("sans-serif", 14))
            .x_label_area_size(24)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..end, 0.0..most)?;
        chart.configure_mesh().light_line_style(TRANSPARENT).x_labels(10).y_labels(5).draw()?;
        // Where nothing is sent.
        let rests = samples.windows(2).filter(|pair| matches!(pair[1].phase, Phase::WarmRest | Phase::Rest));
        chart.draw_series(rests.map(|pair| Rectangle::new([(pair[0].at, 0.0), (pair[1].at, most)], BLACK.mix(0.06).filled())))?;
        for ((line, points), colour) in lines.iter().zip([BLUE, RED]) {
            chart
                .draw_series(LineSeries::new(points.iter().copied(), colour))?
                .label(*line)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 12, y)], colour));
        }
        chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(TRANSPARENT).draw()?;
    }
    root.present()?;
    Ok(())
}
