//! What findings of other policies come to: points for each, for a year, and findings of
//! its own where they reach a threshold. It hears of them by the runtime's own events
//! about verdicts.

mod standing;

use std::collections::BTreeMap;
use std::time::Duration;

use ephor_sdk::prelude::*;
use serde::Deserialize;

use standing::{Named, Standing, Terms};

/// The type of events that take points away.
const REDRESS: &str = "credit.redress.granted";
/// What this policy calls itself, behind the name of whoever publishes it.
const OWN: &str = "credit-standing";
const SECONDS_PER_DAY: u64 = 86_400;
/// Findings of one subject that are kept: the highest threshold is reached with them even
/// if each has no more than half a point left.
const KEPT: u32 = 256;

/// A verdict on an event, or a redress.
#[derive(Fields)]
pub struct Told<'a> {
    #[field("/subject", purpose = "keep the points of each subject; a pseudonym will do")]
    _subject: &'a str,
    #[field("/type", purpose = "tell verdicts from redress")]
    kind: &'a str,
    #[field("/time", purpose = "let findings count less, and then no more")]
    time: Time,
    #[field("/data/depth", purpose = "leave out verdicts on verdicts")]
    depth: Option<i64>,
    #[field("/data/event/subject", purpose = "leave out what is about nobody; a pseudonym will do")]
    judged: Option<&'a str>,
    #[field("/data/sequence", purpose = "name the entry that a redress is about")]
    sequence: Option<i64>,
    #[field("/data/findings", purpose = "count by policy, rule and severity")]
    findings: Option<Json<'a>>,
    #[field("/data/policy", purpose = "name the policy that a redress is about")]
    policy: Option<&'a str>,
    #[field("/data/rule", purpose = "name the rule that a redress is about")]
    rule: Option<&'a str>,
}

/// A finding as a verdict event has it.
#[derive(Deserialize)]
struct Found<'a> {
    policy: &'a str,
    rule: &'a str,
    severity: Severity,
    mode: Mode,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Shadow,
    Canary,
    Enforce,
}

/// What findings cost, for how long, and what that leads to.
#[settings]
pub struct Settings {
    /// Points of a finding by its severity.
    points: Points,
    /// Points of a finding of a rule (`policy/rule`), or of any other rule of a policy
    /// (`policy`), whatever its severity. 0: it does not count.
    by_rule: BTreeMap<String, u32>,
    /// Days for which a finding counts in full.
    full_days: u32,
    /// Days for which it counts at all: behind `full_days` by half.
    days: u32,
    /// Points that make a level.
    thresholds: Thresholds,
}

/// Points by severity; 0 for none.
#[settings]
pub struct Points {
    /// For a finding of low severity.
    low: u32,
    /// Of medium severity.
    medium: u32,
    /// Of high severity.
    high: u32,
    /// Of critical severity.
    critical: u32,
}

/// Ascending.
#[settings]
pub struct Thresholds {
    /// From so many points on a subject is watched.
    watch: u32,
    /// From so many on it is restricted.
    restricted: u32,
    /// From so many on it is a serious case.
    serious: u32,
}

/// What a standing comes to.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// The first threshold is reached.
    #[rule(
        id = "watch",
        action = flag,
        severity = low,
        legal_basis = "E-Commerce Law of the People's Republic of China, articles 39 and 86; Guobanfa (2019) 35, supervision by classes of credit",
        en = "{findings} findings come to {points} points: {threshold} or more are to be watched",
        zh = "{findings} 项认定累计 {points} 分，达到关注线 {threshold} 分"
    )]
    Watch,
    /// The second threshold is reached.
    #[rule(
        id = "restricted",
        action = flag,
        severity = medium,
        legal_basis = "E-Commerce Law of the People's Republic of China, articles 39 and 86; Guobanfa (2019) 35, supervision by classes of credit",
        en = "{findings} findings come to {points} points: {threshold} or more are for restrictions that a person decides",
        zh = "{findings} 项认定累计 {points} 分，达到限制线 {threshold} 分，限制措施由人工决定"
    )]
    Restricted,
    /// The third threshold is reached.
    #[rule(
        id = "serious",
        action = flag,
        severity = high,
        legal_basis = "E-Commerce Law of the People's Republic of China, article 86; Guobanfa (2020) 49, serious breaches only as laws and regulations have them",
        en = "{findings} findings come to {points} points: {threshold} or more are a serious case, for an authority to judge",
        zh = "{findings} 项认定累计 {points} 分，达到严重线 {threshold} 分，由主管机关认定"
    )]
    Serious,
    /// The points fell below a threshold.
    #[rule(
        id = "improved",
        action = flag,
        severity = low,
        legal_basis = "Guobanfa (2020) 49, repair of credit",
        en = "{points} points are left of {findings} findings: less than the threshold of {threshold}",
        zh = "{findings} 项认定剩余 {points} 分，低于 {threshold} 分"
    )]
    Improved,
    /// There is nothing that a redress could take away.
    #[rule(
        id = "nothing-to-redress",
        action = flag,
        severity = low,
        legal_basis = "Guobanfa (2020) 49, repair of credit",
        en = "the redress names nothing that counts",
        zh = "该修复事件未对应任何计分认定"
    )]
    NothingToRedress,
}

/// The rules of the levels, from the lowest.
const LEVELS: [Rule; 3] = [Rule::Watch, Rule::Restricted, Rule::Serious];

/// What findings cost and lead to.
pub struct CreditStanding {
    points: Points,
    by_rule: BTreeMap<String, u32>,
    terms: Terms,
    thresholds: [u32; LEVELS.len()],
}

#[policy(
    name = "credit-standing",
    summary = "Counts findings of other policies as points of their subject and flags it when they reach a threshold.",
    events = ["dev.ephor.verdict.v1", "credit.redress.granted"],
    key = ["/subject"],
    state_version = 1
)]
impl Policy for CreditStanding {
    type Fields<'a> = Told<'a>;
    type Settings = Settings;
    type State = Standing;
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        let Settings { points, by_rule, full_days, days, thresholds: Thresholds { watch, restricted, serious } } = settings;
        let mut errors = SettingsErrors::default();
        if days == 0 || days > 3_660 {
            errors.push("/days", "expected 1 to 3660");
        }
        if full_days > days {
            errors.push("/full_days", "expected no more than `days`");
        }
        if !(0 < watch && watch < restricted && restricted < serious) {
            errors.push("/thresholds", "expected each to be higher than the one before, and the first to be above 0");
        }
        if serious > KEPT / 2 {
            errors.push("/thresholds/serious", format!("expected no more than {}: what is kept has to reach it", KEPT / 2));
        }
        let most = [points.low, points.medium, points.high, points.critical].into_iter().chain(by_rule.values().copied()).max();
        if most.is_some_and(|most| most > 1_000) {
            errors.push("/points", "expected no more than 1000 points for a finding");
        }
        let day = |days: u32| Duration::from_secs(u64::from(days) * SECONDS_PER_DAY);
        let terms = Terms { full: day(full_days), whole: day(days), kept: KEPT as usize };
        errors.or(Self { points, by_rule, terms, thresholds: [watch, restricted, serious] })
    }

    fn evaluate(&self, told: Told<'_>, standing: &mut Standing, out: &mut Out<Rule>) {
        if told.kind == REDRESS {
            let named = Named { sequence: told.sequence, policy: told.policy, rule: told.rule };
            if named == Named::default() {
                return out.undecided("the redress names no sequence, policy or rule");
            }
            if standing.redress(&named) == 0 {
                out.find(Rule::NothingToRedress);
            }
        } else {
            if told.depth != Some(1) || told.judged.is_none() {
                return;
            }
            let findings = told.findings.map(|findings| findings.parse::<Vec<Found<'_>>>());
            let (Some(Ok(findings)), Some(sequence)) = (findings, told.sequence) else {
                return out.undecided("the event about a verdict does not have what it should");
            };
            for found in findings.iter().filter(|found| found.counts()) {
                standing.book(told.time, sequence, found.policy, found.rule, self.points_of(found));
            }
        }
        self.say(told.time, standing, out);
    }
}

impl Found<'_> {
    /// Whether it is more than an attempt, and somebody else's.
    fn counts(&self) -> bool {
        let name = self.policy.rsplit('/').next().unwrap_or_default();
        self.mode != Mode::Shadow && name != OWN
    }
}

impl CreditStanding {
    fn points_of(&self, found: &Found<'_>) -> u32 {
        let by_rule = self.by_rule.get(&format!("{}/{}", found.policy, found.rule));
        let by_severity = match found.severity {
            Severity::Low => self.points.low,
            Severity::Medium => self.points.medium,
            Severity::High => self.points.high,
            Severity::Critical => self.points.critical,
        };
        by_rule.or_else(|| self.by_rule.get(found.policy)).copied().unwrap_or(by_severity)
    }

    /// Says where the standing has come to, if that is another level than the last one.
    fn say(&self, time: Time, standing: &mut Standing, out: &mut Out<Rule>) {
        let now = standing.settle(time, &self.terms);
        let (halves, findings) = standing.total(now, &self.terms);
        let level = self.thresholds.iter().filter(|threshold| halves >= u64::from(**threshold) * 2).count();
        let before = standing.change_level(level);
        let shown = if halves % 2 == 0 { (halves / 2).to_string() } else { format!("{}.5", halves / 2) };
        let reached = LEVELS.iter().zip(self.thresholds).skip(before).take(level.saturating_sub(before));
        // Below the lowest of the thresholds that it was above of.
        let fallen = (level < before).then(|| (&Rule::Improved, self.thresholds[level]));
        for (rule, threshold) in reached.chain(fallen) {
            out.find(*rule).with("points", &shown).with("findings", findings).with("threshold", threshold);
        }
    }
}
