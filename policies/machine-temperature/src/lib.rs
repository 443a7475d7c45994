//! A machine that stays too hot, or is too cold to run, is in danger or is one.

use ephor_sdk::prelude::*;
use ephor_sdk::state::Counter;

/// A temperature that was measured.
#[derive(Fields)]
pub struct Sample<'a> {
    #[field("/data/machine", purpose = "follow each machine by itself")]
    machine: &'a str,
    #[field("/data/temperature", purpose = "compare it with the limits")]
    temperature: f64,
}

/// What a machine may be like. Temperatures are in the unit of the samples.
#[settings]
pub struct Settings {
    /// Samples above are hot.
    hot: f64,
    /// So many hot samples in a row are a finding.
    hot_samples: u64,
    /// Each sample below is a finding.
    cold: f64,
}

/// What is remembered of a machine.
#[state]
pub struct Machine {
    /// Hot samples in a row, up to the latest.
    hot: Counter,
}

/// What a machine can break.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// It has been hot for too many samples.
    #[rule(
        id = "too-hot",
        action = flag,
        severity = high,
        legal_basis = "Regulation (EU) 2023/1230 on machinery, annex III, 1.5.5",
        en = "{machine} is at {temperature}, and has been above {limit} for {samples} samples in a row",
        zh = "{machine} 温度为 {temperature}，已连续 {samples} 次高于 {limit}"
    )]
    TooHot,
    /// It is colder than it may be.
    #[rule(
        id = "too-cold",
        action = flag,
        severity = medium,
        legal_basis = "Regulation (EU) 2023/1230 on machinery, annex III, 1.5.5",
        en = "{machine} is at {temperature}, below {limit}",
        zh = "{machine} 温度为 {temperature}，低于 {limit}"
    )]
    TooCold,
}

/// The limits.
pub struct MachineTemperature {
    settings: Settings,
}

#[policy(
    name = "machine-temperature",
    summary = "Flags machines that are too hot for several samples in a row, and samples that are too cold.",
    events = ["machine.temperature.measured"],
    key = ["/data/machine"],
    state_version = 1
)]
impl Policy for MachineTemperature {
    type Fields<'a> = Sample<'a>;
    type Settings = Settings;
    type State = Machine;
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        let mut errors = SettingsErrors::default();
        if settings.hot_samples == 0 {
            errors.push("/hot_samples", "expected 1 or more");
        }
        if settings.cold > settings.hot {
            errors.push("/cold", "expected no more than `hot`");
        }
        errors.or(Self { settings })
    }

    fn evaluate(&self, sample: Sample<'_>, machine: &mut Machine, out: &mut Out<Rule>) {
        let Settings { hot, hot_samples, cold } = self.settings;
        if sample.temperature > hot {
            // Once for each time that it is hot, however long.
            if machine.hot.count() == hot_samples {
                out.find(Rule::TooHot)
                    .with("machine", sample.machine)
                    .with("temperature", sample.temperature)
                    .with("limit", hot)
                    .with("samples", hot_samples);
            }
        } else {
            machine.hot = Counter::default();
        }
        if sample.temperature < cold {
            out.find(Rule::TooCold).with("machine", sample.machine).with("temperature", sample.temperature).with("limit", cold);
        }
    }
}
