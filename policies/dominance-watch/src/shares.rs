//! Volumes of operators by window, and at which shares dominance is presumed.

use std::collections::BTreeMap;
use std::time::Duration;

use ephor_sdk::prelude::*;

/// So many operators together, and the fraction at which dominance is presumed.
const THRESHOLDS: [(usize, u128, u128); 3] = [(1, 1, 2), (2, 2, 3), (3, 3, 4)];
/// An operator with less than a tenth is not presumed to be dominant with others.
const SMALLEST_TOGETHER: u128 = 10;

/// What is remembered of a market: the windows that are open.
#[state]
pub struct Market {
    /// In microseconds; 0 before the first event.
    width: i64,
    /// By where they begin.
    // lint: allow(unbounded-state): those between the latest time less the grace and the latest time; the grace is two windows at most
    windows: BTreeMap<Time, Volumes>,
    /// Where the first window begins that may be open; nothing before the first event.
    open_from: Option<Time>,
}

/// The volumes of one window.
#[state]
pub(crate) struct Volumes {
    // lint: allow(unbounded-state): the setting of how many are kept apart, 64 at most
    pub(crate) operators: BTreeMap<String, u64>,
    /// Of all operators that are not kept apart.
    pub(crate) others: u64,
}

/// An operator for which the law presumes dominance.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Presumed<'a> {
    pub(crate) operator: &'a str,
    pub(crate) amount: u64,
    /// How many operators have the share, the fewest that do.
    pub(crate) together: usize,
    /// What so many largest operators have.
    pub(crate) joint: u128,
}

impl Market {
    /// Takes out the windows that an event at this time closes, each with its
    /// beginning: those that ended the grace or more before it.
    pub(crate) fn close(&mut self, at: Time, width: Duration, grace: Duration) -> BTreeMap<Time, Volumes> {
        let micros = width.as_micros() as i64;
        if self.width != micros {
            self.begin_anew(micros);
        }
        let open_from = begin(at - grace, micros);
        if self.open_from.is_some_and(|open| open_from <= open) {
            return BTreeMap::new();
        }
        self.open_from = Some(open_from);
        let open = self.windows.split_off(&open_from);
        std::mem::replace(&mut self.windows, open)
    }

    /// The window of a time; nothing if it is closed.
    pub(crate) fn window(&mut self, at: Time, width: Duration) -> Option<&mut Volumes> {
        let begin = begin(at, width.as_micros() as i64);
        if self.open_from.is_none_or(|open| begin < open) {
            return None;
        }
        Some(self.windows.entry(begin).or_default())
    }

    /// Windows of another width cannot be told apart as the new ones would have to be.
    /// They are dropped, and the first that counts begins behind them.
    fn begin_anew(&mut self, width: i64) {
        let last_end = self.windows.last_key_value().map(|(begin, _)| begin.0.saturating_add(self.width));
        let last = last_end.max(self.open_from.map(|open| open.0));
        self.open_from = last.map(|last| Time(begin(Time(last.saturating_add(width - 1)), width).0));
        self.windows.clear();
        self.width = width;
    }
}

/// Where the window of a time begins.
const fn begin(at: Time, width: i64) -> Time {
    Time(at.0.div_euclid(width).saturating_mul(width))
}

impl Volumes {
    /// Adds a volume; nothing if the sum would not fit. At most so many operators are
    /// kept apart: those that come first.
    pub(crate) fn add(&mut self, operator: &str, amount: u64, most_operators: usize) -> Option<()> {
        if amount == 0 {
            return Some(());
        }
        let is_apart = self.operators.contains_key(operator) || self.operators.len() < most_operators;
        let sum = if is_apart { self.operators.entry(operator.to_owned()).or_default() } else { &mut self.others };
        *sum = sum.checked_add(amount)?;
        Some(())
    }

    pub(crate) fn total(&self) -> u128 {
        self.operators.values().chain([&self.others]).map(|&amount| u128::from(amount)).sum()
    }

    /// The operators for which dominance is presumed, the largest first; each once, by
    /// the fewest that have the share together.
    ///
    /// "The largest two" of a tie are all that could be. Where operators are not kept
    /// apart, those that are named reach the share all the same.
    pub(crate) fn presumed(&self) -> Vec<Presumed<'_>> {
        let total = self.total();
        let mut by_size: Vec<(&str, u64)> = self.operators.iter().map(|(operator, &amount)| (operator.as_str(), amount)).collect();
        by_size.sort_by_key(|&(operator, amount)| (std::cmp::Reverse(amount), operator));
        let joint = |together: usize| -> u128 { by_size[..together].iter().map(|&(_, amount)| u128::from(amount)).sum() };
        let presumed = |operator, amount: u64| {
            let reached = THRESHOLDS.into_iter().find(|&(together, part, of)| {
                together <= by_size.len()
                    && amount >= by_size[together - 1].1
                    && joint(together) * of >= total * part
                    && (together == 1 || u128::from(amount) * SMALLEST_TOGETHER >= total)
            });
            reached.map(|(together, _, _)| Presumed { operator, amount, together, joint: joint(together) })
        };
        by_size.iter().filter_map(|&(operator, amount)| presumed(operator, amount)).collect()
    }
}

/// A share in percent, with two decimals at most, the rest cut off.
pub(crate) fn percent(part: u128, whole: u128) -> String {
    let hundredths = part * 10_000 / whole;
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn volumes(amounts: &[u64]) -> Volumes {
        let operators = amounts.iter().zip('a'..).map(|(&amount, name)| (name.to_string(), amount));
        Volumes { operators: operators.collect(), others: 0 }
    }

    /// Names of the presumed, each with how many together.
    fn presumed(amounts: &[u64]) -> String {
        let volumes = volumes(amounts);
        volumes.presumed().iter().map(|it| format!("{}{} ", it.operator, it.together)).collect::<String>().trim().to_owned()
    }

    #[test]
    fn shares_are_reached_at_the_limit() {
        for (amounts, expected) in [
            (&[50, 30, 20][..], "a1 b2 c3"),
            (&[4, 2, 1, 1, 1], "a2 b2 c3 d3 e3"),
            (&[49, 17, 16, 18], "a2 d2 b3"),
            (&[40, 26, 17, 17], "a3 b3 c3 d3"),
            (&[40, 26, 9, 9, 9, 7], "a3 b3"),
            (&[40, 25, 9, 9, 9, 8], ""),
            (&[25, 25, 25, 5, 5, 5, 5, 5], "a3 b3 c3"),
            (&[25, 25, 24, 6, 5, 5, 5, 5], ""),
            (&[50, 50], "a1 b1"),
            (&[91, 9], "a1"),
            (&[9, 1, 1, 1], "a1"),
            (&[3], "a1"),
        ] {
            assert_eq!(presumed(amounts), expected, "{amounts:?}");
        }
    }

    #[test]
    fn windows_of_another_width_are_dropped() {
        let at = |hour: i64| Time(hour * 3_600_000_000);
        let mut market = Market::default();
        assert_eq!(market.close(at(5), HOUR, HOUR).len(), 0);
        market.window(at(5), HOUR).expect("open").add("a", 1, 3).expect("fits");
        let closed = market.close(at(7), HOUR, HOUR);
        assert_eq!(closed.into_keys().collect::<Vec<_>>(), [at(5)]);
        assert!(market.window(at(5), HOUR).is_none() && market.window(at(7), HOUR).is_some());

        assert_eq!(market.close(at(8), HOUR * 4, HOUR).len(), 0, "dropped");
        assert!(market.window(at(7), HOUR * 4).is_none(), "a part of it was in other windows");
        assert!(market.window(at(8), HOUR * 4).is_some());
    }

    #[test]
    fn percent_is_cut_off() {
        assert_eq!([percent(1, 2), percent(2, 3), percent(1, 1), percent(0, 7), percent(1, 16)], ["50", "66.66", "100", "0", "6.25"]);
    }
}
