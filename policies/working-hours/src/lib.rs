//! Nobody may drive for too long, without a break, or without a night's rest.

mod duty;

use std::collections::BTreeSet;
use std::time::Duration;

use ephor_sdk::prelude::*;
use ephor_sdk::state::{LastSeen, Sliding};

use duty::{Duties, Duty};

const MICROS_PER_MINUTE: i64 = 60_000_000;
const DAY: i64 = 1_440 * MICROS_PER_MINUTE;
/// Signals of so long are kept: a day that is judged, the duty and the rest before it,
/// and a day for signals that are late.
const KEPT: Duration = Duration::from_secs(4 * 86_400);
/// So many signals are kept. A driver who signals more often is not judged.
const SIGNALS: usize = 512;
const OFFSET_MINUTES: i32 = 14 * 60;

/// A driver goes on duty, or off.
#[derive(Fields)]
pub struct Signal<'a> {
    #[field("/data/driver", purpose = "add up the hours of each driver", form = pseudonym)]
    driver: &'a str,
    #[field("/type", purpose = "tell going on duty from going off")]
    kind: &'a str,
    #[field("/time", purpose = "know how long a driver was on duty")]
    time: Time,
}

/// How long a driver may be on duty.
#[settings]
pub struct Settings {
    /// The most time on duty without a break.
    continuous_minutes: u32,
    /// Time off duty that is a break. What is shorter is none, and no duty either.
    break_minutes: u32,
    /// The most time on duty on one day.
    day_minutes: u32,
    /// In the 24 hours before the end of a duty there must be one rest of so long.
    /// Absent: there need not be one.
    #[serde(default)]
    daily_rest_minutes: Option<u32>,
    /// Nobody is on duty for longer without a signal. What is longer is found by itself,
    /// and not counted otherwise.
    longest_duty_minutes: u32,
    /// A day begins at midnight in a zone that is so many minutes ahead of UTC.
    utc_offset_minutes: i32,
}

/// What is remembered of a driver.
#[state]
pub struct Driver {
    /// Whether the driver went on duty.
    signals: Sliding<bool>,
    latest: LastSeen,
    /// What was found: the rule's place, and the time that tells one breach from another.
    // lint: allow(unbounded-state): breaches of the days that are kept, of which each signal shows a few; there are `SIGNALS` at most
    found: BTreeSet<(u8, Time)>,
}

/// What a driver can break.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// Too long without a break.
    #[rule(
        id = "no-break",
        action = flag,
        severity = high,
        legal_basis = "Regulations for the Implementation of the Road Traffic Safety Law of the People's Republic of China, article 62(7); Regulation (EC) No 561/2006, article 7",
        en = "{driver} has been on duty for {minutes} minutes since {since} without a break of {break}, and may be for {limit}",
        zh = "{driver} 自 {since} 起已连续值勤 {minutes} 分钟，未休息满 {break} 分钟；上限为 {limit} 分钟"
    )]
    NoBreak,
    /// Too long on one day.
    #[rule(
        id = "long-day",
        action = flag,
        severity = high,
        legal_basis = "Safety Management Code for Road Passenger Transport Enterprises (People's Republic of China), article 38; Regulation (EC) No 561/2006, article 6(1)",
        en = "{driver} was on duty for {minutes} minutes on the day that began at {since}, and may be for {limit}",
        zh = "{driver} 在自 {since} 开始的一天内值勤 {minutes} 分钟；上限为 {limit} 分钟"
    )]
    LongDay,
    /// No night's rest.
    #[rule(
        id = "no-daily-rest",
        action = flag,
        severity = high,
        legal_basis = "Regulation (EC) No 561/2006, article 8(2)",
        en = "{driver} rested for {minutes} minutes at most in the 24 hours from {since}, and has to for {limit}",
        zh = "{driver} 自 {since} 起 24 小时内最长休息 {minutes} 分钟，应不少于 {limit} 分钟"
    )]
    NoDailyRest,
    /// A signal is missing, or nobody is on duty for so long.
    #[rule(
        id = "unclosed-duty",
        action = flag,
        severity = low,
        legal_basis = "Regulation (EC) No 561/2006, article 10(2) and (5)",
        en = "{driver} went on duty at {since}, and no signal came for {minutes} minutes, more than {limit}: a signal is missing, or the duty was too long",
        zh = "{driver} 自 {since} 起值勤，{minutes} 分钟内无信号，超过 {limit} 分钟：信号缺失或值勤过长"
    )]
    UnclosedDuty,
}

/// How long a driver may be on duty. In microseconds.
pub struct WorkingHours {
    continuous: i64,
    pause: i64,
    day: i64,
    daily_rest: Option<i64>,
    longest_duty: i64,
    offset: i64,
}

/// A breach, and what it rests on. Times on duty are in microseconds.
struct Breach {
    rule: Rule,
    since: Time,
    micros: i64,
    limit: i64,
    /// Tells it from other breaches of the rule.
    known_by: Time,
}

#[policy(
    name = "working-hours",
    summary = "Flags drivers who are on duty for too long without a break, on one day, or without a daily rest.",
    events = ["mobility.driver.on-duty", "mobility.driver.off-duty"],
    key = ["/data/driver"],
    state_version = 1
)]
impl Policy for WorkingHours {
    type Fields<'a> = Signal<'a>;
    type Settings = Settings;
    type State = Driver;
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        let mut errors = SettingsErrors::default();
        let mut micros = |name: &str, minutes: u32, most: u32| {
            if !(1..=most).contains(&minutes) {
                errors.push(format!("/{name}"), format!("expected 1 to {most}"));
            }
            i64::from(minutes) * MICROS_PER_MINUTE
        };
        let policy = Self {
            continuous: micros("continuous_minutes", settings.continuous_minutes, 1_440),
            pause: micros("break_minutes", settings.break_minutes, 1_440),
            day: micros("day_minutes", settings.day_minutes, 1_440),
            daily_rest: settings.daily_rest_minutes.map(|minutes| micros("daily_rest_minutes", minutes, 1_439)),
            longest_duty: micros("longest_duty_minutes", settings.longest_duty_minutes, 1_440),
            offset: i64::from(settings.utc_offset_minutes) * MICROS_PER_MINUTE,
        };
        if settings.utc_offset_minutes.abs() > OFFSET_MINUTES {
            errors.push("/utc_offset_minutes", format!("expected {} to {OFFSET_MINUTES}", -OFFSET_MINUTES));
        }
        errors.or(policy)
    }

    fn evaluate(&self, signal: Signal<'_>, driver: &mut Driver, out: &mut Out<Rule>) {
        let is_on = signal.kind.ends_with(".on-duty");
        if !driver.signals.add(signal.time, is_on, KEPT, SIGNALS) {
            return out.undecided("the signal is too late: those of its time are not kept any more");
        }
        driver.latest.see(signal.time, ());
        let latest = driver.latest.at().unwrap_or(signal.time);
        let kept = driver.signals.window(latest, KEPT);
        if !kept.is_complete() {
            return out
                .undecided(format!("the driver signals too often: {SIGNALS} signals are less than {} hours", KEPT.as_secs() / 3_600));
        }
        let duties = Duties::of(kept.iter().map(|(time, is_on)| (time, *is_on)), self.longest_duty);
        for Breach { rule, since, micros, limit, known_by } in self.breaches(&duties) {
            if driver.found.insert((rule as u8, known_by)) {
                let found = out.find(rule).with("driver", signal.driver).with("since", since);
                let found = found.with("minutes", micros / MICROS_PER_MINUTE).with("limit", limit / MICROS_PER_MINUTE);
                if matches!(rule, Rule::NoBreak) {
                    found.with("break", self.pause / MICROS_PER_MINUTE);
                }
            }
        }
        // A breach that rests on signals which are not kept cannot come up again.
        let forgotten = latest - KEPT - KEPT;
        driver.found.retain(|(_, known_by)| *known_by > forgotten);
    }
}

impl WorkingHours {
    /// All breaches that the duties show, by rule.
    fn breaches(&self, duties: &Duties) -> Vec<Breach> {
        let too_long = duties.too_long.iter().map(|duty| Breach {
            rule: Rule::UnclosedDuty,
            since: duty.start,
            micros: duty.micros(),
            limit: self.longest_duty,
            known_by: duty.start,
        });
        let mut breaches = self.without_break(&duties.known);
        breaches.extend(self.long_days(&duties.known));
        breaches.extend(self.daily_rest.into_iter().flat_map(|rest| self.without_rest(&duties.known, rest)));
        breaches.extend(too_long);
        breaches
    }

    /// Of each stretch without a break the duty with which it is too long; known by the
    /// beginning of the stretch.
    fn without_break(&self, duties: &[Duty]) -> Vec<Breach> {
        let is_together = |one: &Duty, next: &Duty| next.start.micros_since(one.end) < self.pause;
        let too_long = duties.chunk_by(is_together).filter_map(|stretch| {
            let since = stretch.first()?.start;
            let micros = first_above(self.continuous, stretch.iter().map(|duty| duty.micros()))?;
            Some(Breach { rule: Rule::NoBreak, since, micros, limit: self.continuous, known_by: since })
        });
        too_long.collect()
    }

    /// Of each day the duty with which it is too long; known by the beginning of the day.
    fn long_days(&self, duties: &[Duty]) -> Vec<Breach> {
        let number = |time: Time| (time.0 + self.offset).div_euclid(DAY);
        let days: BTreeSet<i64> = duties.iter().flat_map(|duty| [number(duty.start), number(duty.end)]).collect();
        let too_long = days.into_iter().filter_map(|day| {
            let since = day * DAY - self.offset;
            let micros = first_above(self.day, duties.iter().map(|duty| duty.within(since, since + DAY)))?;
            Some(Breach { rule: Rule::LongDay, since: Time(since), micros, limit: self.day, known_by: Time(since) })
        });
        too_long.collect()
    }

    /// Of each day the first duty that ends on it without a rest in the 24 hours before;
    /// known by the beginning of the day.
    fn without_rest<'a>(&'a self, duties: &'a [Duty], rest: i64) -> impl Iterator<Item = Breach> + 'a {
        duties.iter().enumerate().filter_map(move |(at, duty)| {
            let since = duty.end.0 - DAY;
            // Before the first signal nothing is known: that counts as rest.
            let mut free = since;
            let mut longest = 0;
            for earlier in &duties[..=at] {
                longest = longest.max(earlier.start.0 - free);
                free = free.max(earlier.end.0);
            }
            let day = (duty.end.0 + self.offset).div_euclid(DAY) * DAY - self.offset;
            let breach = Breach { rule: Rule::NoDailyRest, since: Time(since), micros: longest, limit: rest, known_by: Time(day) };
            (longest < rest).then_some(breach)
        })
    }
}

/// The sum with which it is above the limit for the first time.
fn first_above(limit: i64, parts: impl Iterator<Item = i64>) -> Option<i64> {
    let mut sum = 0;
    parts
        .map(|part| {
            sum += part;
            sum
        })
        .find(|sum| *sum > limit)
}
