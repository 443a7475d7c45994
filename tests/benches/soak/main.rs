//! `make soak SECONDS=3600`: the soak for as long as is wanted (`ephor_tests::soak`).
//!
//! Writes `target/soak/samples.csv` second by second, so that a run that was broken off has
//! what it has seen; at its end `target/soak/soak.svg` and `target/soak/report.txt`. Ends with
//! 1 if something did not hold; then the data directory stays in `target/soak/data`.
//!
//! `EPHOR_SOAK_SECONDS` is the time of the load, `EPHOR_SOAK_RATE` events a second at most
//! (an entry is some 700 bytes on the disk), `EPHOR_SOAK_SEED` the seed. `EPHOR_UPDATE=1`
//! keeps the picture of a run that passed in `tests/benches/plots`.
#![expect(clippy::print_stdout, reason = "the report is what it is for")]

mod plot;

use std::fs::{self, File};
use std::io::Write as _;
use std::process::ExitCode;

use ephor_tests::documents::is_updating;
use ephor_tests::random::{Random, number};
use ephor_tests::soak::{Sample, Soak};
use ephor_tests::{target_dir, workspace};

/// Seconds of load, if nobody says otherwise.
const SECONDS: u64 = 60;

/// Events a second at most, if nobody says otherwise: an hour of them fits most disks.
const RATE: u64 = 6_000;

fn main() -> ExitCode {
    let folder = target_dir().join("soak");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder in target");
    let (seconds, rate) = (number("EPHOR_SOAK_SECONDS").unwrap_or(SECONDS), number("EPHOR_SOAK_RATE").unwrap_or(RATE));
    let soak = Soak { rate, ..Soak::new(seconds, &folder.join("data"), Random::from_env("EPHOR_SOAK_SEED")) };
    println!(
        "{} s to warm up, {seconds} s of load at {rate} events a second at most, {} s of rest behind both",
        soak.warm_up.as_secs(),
        soak.rest.as_secs()
    );

    let mut table = File::create(folder.join("samples.csv")).expect("a file in target");
    writeln!(table, "{}", Sample::COLUMNS).expect("written");
    let show = move |sample: &Sample| {
        writeln!(table, "{}", sample.row()).expect("written");
        if (sample.at as u64).is_multiple_of(30) {
            println!(
                "{:>6.0} s {:<9} {:>6} MiB anonymous, {:>5} maps, {:>3} files, {:>3} threads, {:>9} answers, {:>5} swaps",
                sample.at,
                sample.phase.name(),
                sample.anonymous >> 20,
                sample.maps,
                sample.files,
                sample.threads,
                sample.answered,
                sample.swaps
            );
        }
    };
    let threads = tokio::runtime::Runtime::new().expect("threads");
    let outcome = threads.block_on(soak.run(show));

    plot::draw(&folder.join("soak.svg"), &outcome.samples).expect("a plot in target");
    let verdict = if outcome.passed() { "pass" } else { "FAIL" };
    let report = format!("{}\n{}{verdict}\n", outcome.summary, outcome.table());
    fs::write(folder.join("report.txt"), &report).expect("a file in target");
    print!("{report}");
    if outcome.passed() {
        let _ = fs::remove_dir_all(folder.join("data"));
        if is_updating() {
            fs::copy(folder.join("soak.svg"), workspace().join("tests/benches/plots/soak.svg")).expect("the picture can be kept");
        }
    }
    if outcome.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
