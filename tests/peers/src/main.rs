//! `ephor-peers EVENTS SETTINGS PLUGIN [ROUNDS]`: what one event costs other engines, from
//! its JSON text to whether the rule rejects it, on one thread. Prints JSON, one item for
//! each way. The rule native is measured in the same rounds; what counts is the ratio to it.

mod engines;
mod rule;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};

type Problem = Box<dyn std::error::Error>;

/// Decides about one order after the other.
pub trait Engine {
    /// Whether the order is rejected.
    fn rejects(&mut self, order: &str) -> Result<bool, Problem>;
}

/// A way to have the rule decided.
pub struct Way {
    pub name: &'static str,
    /// The crate, as the lock file has it.
    pub of: &'static str,
    pub licence: &'static str,
    /// What is in the measured part.
    pub measured: &'static str,
    pub engine: Box<dyn Engine>,
    /// Passes over the events in a round: cheap ways get more.
    pub passes: u32,
}

/// The yardstick: parsed by serde into an owned struct, and the rule.
struct Native(rule::Rule);

impl Engine for Native {
    fn rejects(&mut self, order: &str) -> Result<bool, Problem> {
        let order: rule::Order = serde_json::from_str(order)?;
        Ok(self.0.rejects(&order))
    }
}

/// The version that was built in.
fn version(of: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let at = lock.split_once(&format!("name = \"{of}\"\nversion = \"")).map(|(_, rest)| rest);
    at.and_then(|rest| rest.split('"').next()).unwrap_or("-")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn pass(engine: &mut dyn Engine, orders: &[&str]) -> Result<usize, Problem> {
    let mut rejected = 0;
    for order in orders {
        rejected += usize::from(engine.rejects(black_box(order))?);
    }
    Ok(rejected)
}

fn run() -> Result<Value, Problem> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, events, settings, plugin, rest @ ..] = arguments.as_slice() else {
        return Err("usage: ephor-peers EVENTS SETTINGS PLUGIN [ROUNDS]".into());
    };
    let rounds: usize = rest.first().map_or(Ok(9), |rounds| rounds.parse())?;
    let (events, settings) = (std::fs::read_to_string(events)?, std::fs::read_to_string(settings)?);
    let orders: Vec<&str> = events.lines().collect();
    let native = Way {
        name: "native",
        of: "serde_json",
        licence: "MIT OR Apache-2.0",
        measured: "JSON text parsed into an owned struct of two fields, and the rule",
        engine: Box::new(Native(rule::Rule::new(&settings)?)),
        passes: 20,
    };
    let mut ways = vec![native];
    ways.extend(engines::all(&settings, std::fs::read(plugin)?)?);

    // All have to find the same before anybody's time is taken.
    let expected = pass(&mut *ways[0].engine, &orders)?;
    for way in &mut ways {
        let rejected = pass(&mut *way.engine, &orders).map_err(|error| format!("{}: {error}", way.name))?;
        assert_eq!(rejected, expected, "{} finds other orders to reject than the rule native", way.name);
    }
    let mut times: Vec<Vec<f64>> = ways.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (way, times) in ways.iter_mut().zip(&mut times) {
            let begin = Instant::now();
            for _ in 0..way.passes {
                black_box(pass(&mut *way.engine, &orders)?);
            }
            times.push(begin.elapsed().as_secs_f64() * 1e9 / (f64::from(way.passes) * orders.len() as f64));
        }
    }
    let items = ways.iter().zip(&times).map(|(way, own)| {
        // The share of the yardstick's rate, within each round.
        let shares: Vec<f64> = own.iter().zip(&times[0]).map(|(own, native)| native / own).collect();
        json!({
            "name": way.name, "version": version(way.of), "licence": way.licence, "measured": way.measured,
            "ns": median(own.clone()), "share": median(shares), "rejects": expected, "events": orders.len(), "rounds": rounds,
        })
    });
    Ok(items.collect())
}

fn main() -> ExitCode {
    match run() {
        Ok(items) => {
            println!("{items:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ephor-peers: {error}");
            ExitCode::FAILURE
        }
    }
}
