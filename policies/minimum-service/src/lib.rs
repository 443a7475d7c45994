//! Internet access has to be as fast as it was sold: not in every moment, but in what is
//! measured over several days.

use std::time::Duration;

use ephor_sdk::evidence::Found;
use ephor_sdk::prelude::*;
use ephor_sdk::state::Tumbling;

const SECONDS_PER_DAY: u32 = 86_400;
const MICROS_PER_DAY: i64 = 86_400_000_000;
const MICROS_PER_MINUTE: i64 = 60_000_000;
/// Windows that are remembered of a subscriber: this one, the one before for
/// measurements that are late, and one that may be there because of a wrong time.
const WINDOWS: usize = 3;
/// Zones are at most so far from UTC.
const OFFSET_MINUTES: i32 = 14 * 60;

/// A measurement of a connection. Speeds are in kbit/s.
#[derive(Fields)]
pub struct Measurement<'a> {
    #[field("/data/subscriber", purpose = "follow the connection of each subscriber", form = pseudonym)]
    subscriber: &'a str,
    #[field("/data/download_kbps", purpose = "compare the speed delivered with the speed sold")]
    download: i64,
    #[field("/data/upload_kbps", purpose = "compare the speed delivered with the speed sold")]
    upload: i64,
    #[field("/data/contract/download/maximum", purpose = "know the speed sold")]
    download_maximum: i64,
    #[field("/data/contract/download/normal", purpose = "know the speed sold")]
    download_normal: i64,
    #[field("/data/contract/download/minimum", purpose = "know the speed sold")]
    download_minimum: i64,
    #[field("/data/contract/upload/maximum", purpose = "know the speed sold")]
    upload_maximum: i64,
    #[field("/data/contract/upload/normal", purpose = "know the speed sold")]
    upload_normal: i64,
    #[field("/data/contract/upload/minimum", purpose = "know the speed sold")]
    upload_minimum: i64,
    #[field("/time", purpose = "count the days of measuring")]
    time: Time,
}

/// When enough was measured, and how slow is too slow.
#[settings]
pub struct Settings {
    /// Windows of so many days lie side by side; a subscriber is judged once in each.
    window_days: u32,
    /// So many days of a window must be measured.
    days: u32,
    /// So many measurements make a day measured. Later ones of the day do not count.
    measurements_per_day: u32,
    /// A measurement reaches the maximum speed with so many percent of it.
    maximum_percent: u32,
    /// On so many days at least one measurement must reach the maximum speed.
    days_at_maximum: u32,
    /// So many percent of the measurements must reach the speed that is normally available.
    normal_percent: u32,
    /// On fewer days than these may a measurement be below the minimum speed.
    days_below_minimum: u32,
    /// A day begins at midnight in a zone that is so many minutes ahead of UTC.
    utc_offset_minutes: i32,
}

/// What is remembered of a subscriber.
#[state]
pub struct Subscriber {
    windows: Tumbling<Window>,
}

#[state]
struct Window {
    is_judged: bool,
    /// In the order in which their first measurements came.
    // lint: allow(unbounded-state): the days of one window
    days: Vec<Day>,
}

#[state]
struct Day {
    /// Counted from 1970-01-01.
    number: i64,
    measurements: u32,
    download: Tally,
    upload: Tally,
}

/// How many measurements of a day were how fast.
#[state]
#[derive(Clone, Copy)]
struct Tally {
    at_maximum: u32,
    at_normal: u32,
    below_minimum: u32,
}

/// What a connection can break.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// The maximum speed is not reached.
    #[rule(
        id = "below-maximum",
        action = flag,
        severity = medium,
        legal_basis = "Regulation (EU) 2015/2120, article 4(4); general order of the Federal Network Agency of Germany on fixed internet access, in force since 13 December 2021",
        en = "{direction} of {subscriber}, from {from}: {percent} percent of the maximum speed are reached on {days} of {of} days, and have to be on {needed}",
        zh = "{subscriber} 自 {from} 起的 {direction}：{of} 天中有 {days} 天达到最高速率的百分之 {percent}，应为 {needed} 天"
    )]
    BelowMaximum,
    /// The speed that is normally available is reached too rarely.
    #[rule(
        id = "below-normal",
        action = flag,
        severity = medium,
        legal_basis = "Regulation (EU) 2015/2120, article 4(4); general order of the Federal Network Agency of Germany on fixed internet access, in force since 13 December 2021",
        en = "{direction} of {subscriber}, from {from}: the normally available speed is reached by {reached} of {of} measurements, fewer than {percent} percent",
        zh = "{subscriber} 自 {from} 起的 {direction}：{of} 次测量中有 {reached} 次达到通常可用速率，不足百分之 {percent}"
    )]
    BelowNormal,
    /// Less than the minimum speed is delivered.
    #[rule(
        id = "below-minimum",
        action = flag,
        severity = high,
        legal_basis = "Regulation (EU) 2015/2120, article 4(4); general order of the Federal Network Agency of Germany on fixed internet access, in force since 13 December 2021",
        en = "{direction} of {subscriber}, from {from}: slower than the minimum speed on {days} of {of} days",
        zh = "{subscriber} 自 {from} 起的 {direction}：{of} 天中有 {days} 天低于最低速率"
    )]
    BelowMinimum,
}

/// When enough was measured, and how slow is too slow.
pub struct MinimumService {
    settings: Settings,
    width: Duration,
    /// In microseconds.
    offset: i64,
}

#[policy(
    name = "minimum-service",
    summary = "Flags internet access that is slower than it was sold, over days of measuring.",
    events = ["network.speed.measured"],
    key = ["/data/subscriber"],
    state_version = 1
)]
impl Policy for MinimumService {
    type Fields<'a> = Measurement<'a>;
    type Settings = Settings;
    type State = Subscriber;
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        let mut errors = SettingsErrors::default();
        let mut check = |name: &str, value: u32, most: u32| {
            if !(1..=most).contains(&value) {
                errors.push(format!("/{name}"), format!("expected 1 to {most}"));
            }
        };
        check("window_days", settings.window_days, 366);
        check("days", settings.days, settings.window_days);
        check("measurements_per_day", settings.measurements_per_day, 1_440);
        check("maximum_percent", settings.maximum_percent, 100);
        check("days_at_maximum", settings.days_at_maximum, settings.days);
        check("normal_percent", settings.normal_percent, 100);
        check("days_below_minimum", settings.days_below_minimum, settings.days);
        if settings.utc_offset_minutes.abs() > OFFSET_MINUTES {
            errors.push("/utc_offset_minutes", format!("expected {} to {OFFSET_MINUTES}", -OFFSET_MINUTES));
        }
        let width = Duration::from_secs(u64::from(settings.window_days) * u64::from(SECONDS_PER_DAY));
        let offset = i64::from(settings.utc_offset_minutes) * MICROS_PER_MINUTE;
        errors.or(Self { settings, width, offset })
    }

    fn evaluate(&self, measurement: Measurement<'_>, subscriber: &mut Subscriber, out: &mut Out<Rule>) {
        let [download, upload] = measurement.directions();
        if !download.is_in_order() || !upload.is_in_order() {
            return out.undecided("a speed is below zero, or the speeds of the contract are not in order");
        }
        let local = Time(measurement.time.0.saturating_add(self.offset));
        let Some(window) = subscriber.windows.at(local, self.width, WINDOWS) else {
            return out.undecided("the measurement is too late: its window is not kept any more");
        };
        if window.is_judged {
            return;
        }
        let day = window.day(local.0.div_euclid(MICROS_PER_DAY));
        if day.measurements == self.settings.measurements_per_day {
            return;
        }
        day.measurements += 1;
        day.download.count(&download, self.settings.maximum_percent);
        day.upload.count(&upload, self.settings.maximum_percent);

        let is_measured = |day: &&Day| day.measurements == self.settings.measurements_per_day;
        if window.days.iter().filter(is_measured).count() == self.settings.days as usize {
            let days: Vec<Day> = std::mem::take(&mut window.days);
            window.is_judged = true;
            let (subscriber, from) = (measurement.subscriber, self.begin(local));
            let (downloads, uploads): (Vec<_>, Vec<_>) = days.iter().filter(is_measured).map(|day| (day.download, day.upload)).unzip();
            for (direction, tallies) in [("download", downloads), ("upload", uploads)] {
                self.judge(&tallies, &Campaign { subscriber, direction, from }, out);
            }
        }
    }
}

impl MinimumService {
    /// When the window of a local time begins.
    fn begin(&self, local: Time) -> Time {
        let width = i64::from(self.settings.window_days) * MICROS_PER_DAY;
        Time((local.0.div_euclid(width) * width).saturating_sub(self.offset))
    }

    /// Says what is wrong in one direction. `days` has one tally for each day measured.
    fn judge(&self, days: &[Tally], campaign: &Campaign<'_>, out: &mut Out<Rule>) {
        let Settings { days: of, measurements_per_day, maximum_percent, days_at_maximum, normal_percent, days_below_minimum, .. } =
            self.settings;
        let at_maximum = days.iter().filter(|day| day.at_maximum > 0).count();
        if at_maximum < days_at_maximum as usize {
            let found = campaign.find(Rule::BelowMaximum, out).with("days", at_maximum).with("of", of);
            found.with("needed", days_at_maximum).with("percent", maximum_percent);
        }
        let measurements = u64::from(of) * u64::from(measurements_per_day);
        let reached: u64 = days.iter().map(|day| u64::from(day.at_normal)).sum();
        if reached * 100 < measurements * u64::from(normal_percent) {
            let found = campaign.find(Rule::BelowNormal, out).with("reached", reached);
            found.with("of", measurements).with("percent", normal_percent);
        }
        let below = days.iter().filter(|day| day.below_minimum > 0).count();
        if below >= days_below_minimum as usize {
            campaign.find(Rule::BelowMinimum, out).with("days", below).with("of", of);
        }
    }
}

/// What a finding is about.
struct Campaign<'a> {
    subscriber: &'a str,
    direction: &'static str,
    /// When the window begins.
    from: Time,
}

impl Campaign<'_> {
    fn find<'o>(&self, rule: Rule, out: &'o mut Out<Rule>) -> Found<'o> {
        out.find(rule).with("subscriber", self.subscriber).with("direction", self.direction).with("from", self.from)
    }
}

impl Window {
    fn day(&mut self, number: i64) -> &mut Day {
        let place = self.days.iter().position(|day| day.number == number).unwrap_or_else(|| {
            self.days.push(Day { number, ..Day::default() });
            self.days.len() - 1
        });
        &mut self.days[place]
    }
}

/// What was delivered and what was sold, in one direction.
struct Speeds {
    delivered: i64,
    maximum: i64,
    normal: i64,
    minimum: i64,
}

impl Measurement<'_> {
    fn directions(&self) -> [Speeds; 2] {
        [
            Speeds {
                delivered: self.download,
                maximum: self.download_maximum,
                normal: self.download_normal,
                minimum: self.download_minimum,
            },
            Speeds { delivered: self.upload, maximum: self.upload_maximum, normal: self.upload_normal, minimum: self.upload_minimum },
        ]
    }
}

impl Speeds {
    fn is_in_order(&self) -> bool {
        self.delivered >= 0 && self.minimum >= 0 && self.minimum <= self.normal && self.normal <= self.maximum
    }
}

impl Tally {
    fn count(&mut self, speeds: &Speeds, percent: u32) {
        let reaches = i128::from(speeds.delivered) * 100 >= i128::from(speeds.maximum) * i128::from(percent);
        self.at_maximum += u32::from(reaches);
        self.at_normal += u32::from(speeds.delivered >= speeds.normal);
        self.below_minimum += u32::from(speeds.delivered < speeds.minimum);
    }
}
