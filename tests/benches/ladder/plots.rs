//! Cost against what could make it grow: policies that are loaded, events of a batch, keys,
//! entries of the log. One picture for each, as SVG, with its numbers beside it.
//!
//! How far each goes is small unless the environment says otherwise:
//! `EPHOR_BENCH_POLICIES_MAX` (to 1,000), `EPHOR_BENCH_BATCH_MAX` (4,096),
//! `EPHOR_BENCH_KEYS_MAX` (10,000,000), `EPHOR_BENCH_LOG_MAX` (50,000,000 entries, 32 bytes
//! each on the disk and 9 in memory). `EPHOR_UPDATE=1` keeps them in `tests/benches/plots` too.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ephor::bench::Policy;
use ephor::ingest;
use ephor::ledger::tree::{TileFiles, Tree, leaf_hash, verify_inclusion};
use ephor::runtime::Limits;
use ephor_tests::documents::is_updating;
use ephor_tests::{binary, guest, target_dir, workspace};
use plotters::coord::combinators::IntoLogRange as _;
use plotters::prelude::{
    ChartBuilder, Circle, EmptyElement, IntoDrawingArea as _, LineSeries, PathElement, RGBColor, SVGBackend, SeriesLabelPosition, Text,
    WHITE,
};
use plotters::style::Color as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::keys::drawn;
use crate::many::{ABOUT_ONE_TYPE_MAX, asked, lines, with_unasked};
use crate::orders::Orders;
use crate::report::short;
use crate::spine::{GROUP, Loaded, Spine, fresh};
use crate::twin::{Merchants, fill, roomy};
use crate::{median, rounds, setting};

const SIZE: (u32, u32) = (900, 420);

/// Colours of lines: the page's for flags and for allowed events.
const COLOURS: [RGBColor; 2] = [RGBColor(0x4f, 0x93, 0xc6), RGBColor(0xd0, 0x8a, 0x11)];

/// A line of a picture: what it is, and its points.
type Line = (&'static str, Vec<(f64, f64)>);

/// A picture.
struct Plot {
    name: &'static str,
    title: &'static str,
    x: &'static str,
    y: &'static str,
    lines: Vec<Line>,
}

impl Plot {
    fn draw(&self, folder: &Path) -> Value {
        let path = folder.join(format!("{}.svg", self.name));
        self.svg(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        println!("\n{}\n{:>14} {}", self.title, self.x, self.y);
        for (name, points) in &self.lines {
            for (x, y) in points {
                println!("{x:>14} {:<12} {name}", short(*y));
            }
        }
        let lines: serde_json::Map<String, Value> = self.lines.iter().map(|(name, points)| ((*name).to_string(), json!(points))).collect();
        json!({"name": self.name, "title": self.title, "x": self.x, "y": self.y, "lines": lines})
    }

    fn svg(&self, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let (least_x, most_x) = points().fold((f64::MAX, 1.0_f64), |(least, most), (x, _)| (least.min(*x), most.max(*x)));
        let (least_y, most_y) = points().fold((f64::MAX, 0.0_f64), |(least, most), (_, y)| (least.min(*y), most.max(*y)));
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(16)
            .margin_right(48)
            .caption(self.title, ("sans-serif", 20))
            .x_label_area_size(44)
            .y_label_area_size(70)
            // Never so narrow that noise looks like growth.
            .build_cartesian_2d((least_x..most_x * 1.1).log_scale(), (least_y / 4.0..most_y * 4.0).log_scale())?;
        let number = |value: &f64| short(*value);
        let whole = |value: &f64| format!("{value:.0}");
        chart.configure_mesh().x_desc(self.x).y_desc(self.y).x_label_formatter(&whole).y_label_formatter(&number).y_labels(3).draw()?;
        for ((name, points), colour) in self.lines.iter().zip(COLOURS) {
            chart
                .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
            let ends = points.first().into_iter().chain(points.last());
            chart.draw_series(ends.map(|point| EmptyElement::at(*point) + Text::new(number(&point.1), (4, -16), ("sans-serif", 12))))?;
        }
        chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).draw()?;
        area.present()?;
        Ok(())
    }
}

/// 1, 3, 10, 30 … to the most, which is there too.
fn steps(most: usize) -> Vec<usize> {
    let tens = std::iter::successors(Some(1usize), |ten| ten.checked_mul(10));
    let mut steps: Vec<usize> = tens.flat_map(|ten| [ten, ten.saturating_mul(3)]).take_while(|step| *step < most).collect();
    steps.push(most);
    steps
}

pub(crate) fn report(threads: &Runtime) {
    let folder = target_dir().join("plots");
    std::fs::create_dir_all(&folder).expect("target/plots");
    let orders = Orders::read();
    let mut plots = vec![threads.block_on(policies(&orders)), threads.block_on(batches(&orders)), threads.block_on(keys(&orders))];
    plots.extend(log());
    let drawn: Vec<Value> = plots.iter().map(|plot| plot.draw(&folder)).collect();
    let text = serde_json::to_string_pretty(&drawn).expect("JSON");
    std::fs::write(folder.join("plots.json"), text + "\n").expect("target/plots can be written");
    println!("\nwritten to {}", folder.display());
    if is_updating() {
        keep(&folder, &workspace().join("tests/benches/plots"));
    }
}

fn keep(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder of plots");
    for file in std::fs::read_dir(from).expect("target/plots") {
        let file: PathBuf = file.expect("a file").path();
        std::fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("a plot can be copied");
    }
}

/// Nanoseconds per event on the whole path, the median of the rounds.
async fn whole(orders: &Orders, policies: &[Loaded]) -> f64 {
    let spine = Spine::start(policies, Some("plots"), Limits::default()).await;
    let mut times = Vec::new();
    for round in 0..=rounds() {
        let (took, _) = spine.judge(lines(orders, 20 * GROUP)).await;
        // The first round warms up.
        if round > 0 {
            times.push(took);
        }
    }
    spine.close().await;
    median(times)
}

async fn policies(orders: &Orders) -> Plot {
    let most = setting("EPHOR_BENCH_POLICIES_MAX", 100);
    let (mut one, mut all) = (Vec::new(), Vec::new());
    for loaded in steps(most) {
        one.push((loaded as f64, whole(orders, &with_unasked(orders, loaded - 1)).await));
    }
    for loaded in steps(most.min(ABOUT_ONE_TYPE_MAX)) {
        all.push((loaded as f64, whole(orders, &[asked(orders, loaded)]).await));
    }
    Plot {
        name: "policies",
        title: "Cost of an event against policies, whole path in process, durable",
        x: "policies loaded",
        y: "ns per event",
        lines: vec![("one is asked about the events", one), ("all are", all)],
    }
}

async fn batches(orders: &Orders) -> Plot {
    let most = setting("EPHOR_BENCH_BATCH_MAX", 4_096);
    let policy = Policy::load(&binary(), &guest("order_limit"), orders.settings.as_bytes(), &[]).await.expect("a policy");
    let limits = ingest::Limits::default();
    let lines = orders.events(most);
    let decode =
        |lines: &[String]| -> Vec<_> { lines.iter().map(|line| ingest::structured(line.as_bytes(), &limits).expect("an event")).collect() };
    let (mut evaluated, mut whole) = (Vec::new(), Vec::new());
    let sizes = std::iter::successors(Some(1), |size| Some(size * 4)).take_while(|size| *size <= most);
    for batch in sizes {
        let prepared: Vec<_> = lines.chunks(batch).take(256).map(|lines| policy.prepare(&decode(lines))).collect();
        let count: u64 = prepared.iter().map(|prepared| prepared.rows).sum();
        let (mut of_policy, mut of_all) = (Vec::new(), Vec::new());
        for _ in 0..rounds() {
            let begin = Instant::now();
            prepared.iter().for_each(|prepared| assert_eq!(policy.judge(prepared).faults, 0));
            of_policy.push(begin.elapsed().as_secs_f64() * 1e9 / count as f64);
            let begin = Instant::now();
            lines.chunks(batch).take(256).for_each(|lines| assert_eq!(policy.judge(&policy.prepare(&decode(lines))).faults, 0));
            of_all.push(begin.elapsed().as_secs_f64() * 1e9 / count as f64);
        }
        evaluated.push((batch as f64, median(of_policy)));
        whole.push((batch as f64, median(of_all)));
    }
    Plot {
        name: "batch",
        title: "Cost of an event against the size of its batch, one policy, one thread",
        x: "events of a batch",
        y: "ns per event",
        lines: vec![("evaluated over columns", evaluated), ("decoded, projected, evaluated", whole)],
    }
}

async fn keys(orders: &Orders) -> Plot {
    let most = setting("EPHOR_BENCH_KEYS_MAX", 100_000) as u64;
    let merchants = Merchants::of(orders);
    let policy = Loaded { component: guest("order_count"), settings: orders.settings.clone(), times: 1 };
    let spine = Spine::start(&[policy], Some("plots"), roomy()).await;
    let (mut points, mut have, mut number) = (Vec::new(), 0, most);
    for keys in steps(most as usize) {
        let keys = keys as u64;
        fill(&spine, &merchants, have, keys).await;
        have = keys;
        let mut times = Vec::new();
        for _ in 0..rounds() {
            let count = 20 * GROUP as u64;
            let (took, _) = spine.judge((number..number + count).map(|at| merchants.line("drawn", at, drawn(at, keys))).collect()).await;
            number += count;
            times.push(took);
        }
        points.push((keys as f64, median(times)));
    }
    spine.close().await;
    Plot {
        name: "keys",
        title: "Cost of an event against keys that have a state, Zipf, whole path in process, durable",
        x: "keys",
        y: "ns per event",
        lines: vec![("a policy that counts by key", points)],
    }
}

/// The tree itself: the whole path would take hours, and what is before the tree is the same
/// for every entry.
fn log() -> [Plot; 2] {
    const PROOFS: u64 = 200;
    let most = setting("EPHOR_BENCH_LOG_MAX", 1_000_000) as u64;
    let folder = fresh("tree");
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut tree = Tree::new(TileFiles::new(&folder));
    let leaf = |entry: u64| leaf_hash(format!("{{\"sequence\":{entry},\"verdict\":\"allow\"}}").as_bytes());
    let (mut appended, mut proved) = (Vec::new(), Vec::new());
    for size in steps(most as usize).into_iter().map(|size| size as u64).filter(|size| *size >= 1_000u64.min(most)) {
        // What is appended last says what it costs at that length.
        let measured = (size / 10).clamp(1, 100_000);
        while tree.size() < size - measured {
            tree.push(leaf(tree.size()));
            if tree.size().is_multiple_of(GROUP as u64) {
                tree.flush().expect("tiles can be written");
            }
        }
        let begin = Instant::now();
        while tree.size() < size {
            tree.push(leaf(tree.size()));
            if tree.size().is_multiple_of(GROUP as u64) {
                tree.flush().expect("tiles can be written");
            }
        }
        appended.push((size as f64, begin.elapsed().as_secs_f64() * 1e9 / measured as f64));
        let root = tree.root();
        let begin = Instant::now();
        let asked: Vec<u64> = (0..PROOFS).map(|number| drawn(number, size)).collect();
        let proofs: Vec<_> = asked.iter().map(|index| tree.inclusion(*index, size).expect("a proof")).collect();
        proved.push((size as f64, begin.elapsed().as_secs_f64() * 1e6 / PROOFS as f64));
        for (index, proof) in asked.iter().zip(&proofs) {
            verify_inclusion(&leaf(*index), *index, size, proof, &root).expect("what was proved holds");
        }
    }
    let _ = std::fs::remove_dir_all(folder);
    [
        Plot {
            name: "log-append",
            title: "Cost of appending an entry to the tree, with its tiles, against the length of the log",
            x: "entries",
            y: "ns per entry",
            lines: vec![("hashed and written", appended)],
        },
        Plot {
            name: "log-proof",
            title: "Cost of an inclusion proof against the length of the log",
            x: "entries",
            y: "µs per proof",
            lines: vec![("read and hashed", proved)],
        },
    ]
}
