//! "Pick one of two": a platform may not make merchants pay, in rank or in fees, for
//! selling on other platforms too.

mod merchant;

use std::collections::BTreeSet;

use ephor_sdk::prelude::*;

use merchant::{Merchant, Presence, Rise, Sums, Windows};

/// The types of events that are told apart.
const PRESENCE: &str = "market.merchant.presence";
const RANKING: &str = "market.merchant.ranking";
const FEE: &str = "market.merchant.fee";
/// A place in a list of results that is further behind is none that anybody sees.
const LAST_POSITION: i64 = 1_000_000;
/// All of a price, in basis points.
const WHOLE_PRICE: i64 = 10_000;
/// Days are remembered one by one.
const MOST_DAYS: u32 = 90;

/// What a platform says of a merchant.
#[derive(Fields)]
pub struct Report<'a> {
    #[field("/type", purpose = "tell presence, ranking, fee and terms apart")]
    kind: &'a str,
    #[field("/time", purpose = "compare what was before with what was after")]
    time: Time,
    #[field("/data/merchant", purpose = "keep merchants apart, and name the one that is found")]
    merchant: &'a str,
    #[field("/data/elsewhere", purpose = "know when the merchant begins to sell on more other platforms")]
    elsewhere: Option<i64>,
    #[field("/data/position", purpose = "compare the merchant's place in results before and after")]
    position: Option<i64>,
    #[field("/data/rate", purpose = "compare the merchant's fee before and after")]
    rate: Option<i64>,
    #[field("/data/peers", purpose = "leave out what happened to comparable merchants too")]
    peers: Option<i64>,
    #[field("/data/exclusive", purpose = "find terms that forbid or punish selling elsewhere")]
    exclusive: Option<bool>,
    #[field("/data/terms", purpose = "let through terms that the authority has accepted")]
    terms: Option<&'a str>,
}

/// What is compared with what, and what a finding takes.
#[settings]
pub struct Settings {
    /// So many days before the merchant sells on more platforms are compared with those after.
    before_days: u32,
    /// So many of them, the latest, are compared for themselves too: what changed earlier is
    /// no punishment.
    recent_days: u32,
    /// So many days after are looked at.
    after_days: u32,
    /// On so many days of each there must be reports.
    least_days: u32,
    /// By so many percent the place relative to comparable merchants must be worse.
    ranking_percent: u32,
    /// By so many basis points of the price the fee must be higher, above what comparable
    /// merchants pay.
    fee_points: u32,
    /// Terms that may be exclusive, by name.
    #[serde(default)]
    accepted_terms: BTreeSet<String>,
}

/// What a platform can be asked about.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// The merchant's place is worse.
    #[rule(
        id = "ranking-drop-after-multihoming",
        action = flag,
        severity = medium,
        legal_basis = "Anti-Monopoly Law of the People's Republic of China, article 22, item 4; Guidelines on Anti-Monopoly in the Platform Economy (2021), article 15; E-Commerce Law, article 35",
        en = "merchant {merchant} sells on {to} other platforms instead of {from} since {since}; its place, in percent of that of comparable merchants, was {before} and is {after}",
        zh = "商户 {merchant} 自 {since} 起在 {to} 个其他平台经营（此前为 {from} 个）；其排名位次相当于可比商户的百分之 {before}，此后变为百分之 {after}"
    )]
    RankingDrop,
    /// The merchant's fee is higher.
    #[rule(
        id = "fee-rise-after-multihoming",
        action = flag,
        severity = medium,
        legal_basis = "E-Commerce Law of the People's Republic of China, article 35; Anti-Monopoly Law, article 22, items 4 and 6; Guidelines on Anti-Monopoly in the Platform Economy (2021), article 15",
        en = "merchant {merchant} sells on {to} other platforms instead of {from} since {since}; its fee was {before} basis points above that of comparable merchants and is {after}",
        zh = "商户 {merchant} 自 {since} 起在 {to} 个其他平台经营（此前为 {from} 个）；其费率高于可比商户 {before} 个基点，此后变为 {after} 个基点"
    )]
    FeeRise,
    /// The terms say so openly.
    #[rule(
        id = "exclusivity-demanded",
        action = flag,
        severity = high,
        legal_basis = "E-Commerce Law of the People's Republic of China, article 35; Anti-Monopoly Law, article 22, item 4; Guidelines on Anti-Monopoly in the Platform Economy (2021), article 15",
        en = "the terms {terms} forbid merchant {merchant} to sell elsewhere, or make it pay for that",
        zh = "条款 {terms} 禁止商户 {merchant} 在其他平台经营，或使其为此付出代价"
    )]
    ExclusivityDemanded,
}

/// What is compared with what, and what a finding takes.
pub struct ExclusiveDealing {
    windows: Windows,
    ranking_percent: i128,
    fee_points: i128,
    accepted_terms: BTreeSet<String>,
}

#[policy(
    name = "exclusive-dealing",
    summary = "Flags merchants whose place or fee got worse after they began to sell on more platforms, and terms that forbid it.",
    events = ["market.merchant.presence", "market.merchant.ranking", "market.merchant.fee", "market.merchant.terms"],
    key = ["/data/merchant"],
    state_version = 1
)]
impl Policy for ExclusiveDealing {
    type Fields<'a> = Report<'a>;
    type Settings = Settings;
    type State = Merchant;
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        let Settings { before_days, recent_days, after_days, least_days, .. } = settings;
        let mut errors = SettingsErrors::default();
        for (pointer, days) in [("/before_days", before_days), ("/after_days", after_days)] {
            if !(1..=MOST_DAYS).contains(&days) {
                errors.push(pointer, format!("expected 1 to {MOST_DAYS}"));
            }
        }
        if recent_days > before_days {
            errors.push("/recent_days", "expected no more than `before_days`, of which they are the latest");
        }
        if least_days == 0 || least_days > recent_days.min(after_days) {
            errors.push("/least_days", "expected 1 or more, and no more than `recent_days` and `after_days`");
        }
        for (pointer, limit) in [("/ranking_percent", settings.ranking_percent), ("/fee_points", settings.fee_points)] {
            if limit == 0 {
                errors.push(pointer, "expected 1 or more: what stays as it is is no punishment");
            }
        }
        errors.or(Self {
            windows: Windows { before: before_days.into(), recent: recent_days.into(), after: after_days.into(), least: least_days },
            ranking_percent: settings.ranking_percent.into(),
            fee_points: settings.fee_points.into(),
            accepted_terms: settings.accepted_terms,
        })
    }

    fn evaluate(&self, report: Report<'_>, merchant: &mut Merchant, out: &mut Out<Rule>) {
        let done = match report.kind {
            PRESENCE => self.presence(&report, merchant),
            RANKING => self.ranking(&report, merchant, out),
            FEE => self.fee(&report, merchant, out),
            _ => self.terms(&report, out),
        };
        if let Err(reason) = done {
            out.undecided(reason);
        }
    }
}

/// Nothing, or why an event cannot be judged.
type Done = Result<(), &'static str>;

impl ExclusiveDealing {
    fn presence(&self, report: &Report<'_>, merchant: &mut Merchant) -> Done {
        let count =
            within(report.elsewhere, 0, i64::MAX).ok_or("expected `/data/elsewhere`, on how many other platforms the merchant sells")?;
        let presence = Presence { at: report.time, count };
        merchant.take_note(presence, &self.windows).then_some(()).ok_or("the event is late: a later presence of the merchant is known")
    }

    fn ranking(&self, report: &Report<'_>, merchant: &mut Merchant, out: &mut Out<Rule>) -> Done {
        let (position, peers) = within(report.position, 1, LAST_POSITION)
            .zip(within(report.peers, 1, LAST_POSITION))
            .ok_or("expected `/data/position` and `/data/peers`, places from 1 to 1000000")?;
        let day = merchant.day(report.time, &self.windows).ok_or(TOO_LATE)?;
        day.ranking = day.ranking.with(position, peers);
        let Some(rise) = merchant.rise.as_ref().filter(|rise| !rise.is_ranking_found && self.windows.is_after(rise, report.time)) else {
            return Ok(());
        };
        let Some([before, recent, after]) = merchant.compare(rise, &self.windows, |day| day.ranking) else { return Ok(()) };
        // The worse of both, as fractions: places over those of comparable merchants.
        let base = if before.own * recent.peers > recent.own * before.peers { before } else { recent };
        if after.own * base.peers * 100 >= base.own * after.peers * (100 + self.ranking_percent) {
            let percent = |sums: Sums<i128>| tenths(sums.own * 1_000, sums.peers);
            found(out, Rule::RankingDrop, report, rise, percent(base), percent(after));
            merchant.found(|rise| rise.is_ranking_found = true);
        }
        Ok(())
    }

    fn fee(&self, report: &Report<'_>, merchant: &mut Merchant, out: &mut Out<Rule>) -> Done {
        let (rate, peers) = within(report.rate, 0, WHOLE_PRICE)
            .zip(within(report.peers, 0, WHOLE_PRICE))
            .ok_or("expected `/data/rate` and `/data/peers`, fees of 0 to 10000 basis points")?;
        let day = merchant.day(report.time, &self.windows).ok_or(TOO_LATE)?;
        day.fee = day.fee.with(rate, peers);
        let Some(rise) = merchant.rise.as_ref().filter(|rise| !rise.is_fee_found && self.windows.is_after(rise, report.time)) else {
            return Ok(());
        };
        let Some([before, recent, after]) = merchant.compare(rise, &self.windows, |day| day.fee) else { return Ok(()) };
        // The higher of both, as fractions: what is above comparable merchants over reports.
        let base = if before.above() * recent.reports > recent.above() * before.reports { before } else { recent };
        let higher = after.above() * base.reports - base.above() * after.reports;
        if higher >= self.fee_points * base.reports * after.reports {
            let points = |sums: Sums<i128>| tenths(sums.above() * 10, sums.reports);
            found(out, Rule::FeeRise, report, rise, points(base), points(after));
            merchant.found(|rise| rise.is_fee_found = true);
        }
        Ok(())
    }

    fn terms(&self, report: &Report<'_>, out: &mut Out<Rule>) -> Done {
        let is_exclusive = report.exclusive.ok_or("expected `/data/exclusive`, whether the terms are exclusive")?;
        let terms = report.terms.ok_or("expected `/data/terms`, the name of the terms")?;
        if is_exclusive && !self.accepted_terms.contains(terms) {
            out.find(Rule::ExclusivityDemanded).with("merchant", report.merchant).with("terms", terms);
        }
        Ok(())
    }
}

const TOO_LATE: &str = "the event is too late: its day is not kept any more";

fn within(value: Option<i64>, least: i64, most: i64) -> Option<i64> {
    value.filter(|value| (least..=most).contains(value))
}

fn found(out: &mut Out<Rule>, rule: Rule, report: &Report<'_>, rise: &Rise, before: String, after: String) {
    let found = out.find(rule).with("merchant", report.merchant).with("since", rise.at);
    found.with("from", rise.from).with("to", rise.to).with("before", before).with("after", after);
}

/// A fraction of tenths as a number with one decimal; the rest is cut off.
fn tenths(part: i128, whole: i128) -> String {
    let tenths = part / whole;
    let sign = if tenths < 0 { "-" } else { "" };
    let text = format!("{sign}{}.{}", tenths.abs() / 10, tenths.abs() % 10);
    text.trim_end_matches(".0").to_owned()
}
