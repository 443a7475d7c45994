use std::fmt;

use serde::{Deserialize, Serialize};

use crate::evidence::IntoEvidence;

/// The greatest whole number up to which binary64 has all of them.
const ALL_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Adds up whole numbers: pieces, seconds, money in its smallest unit.
///
/// Whole numbers, because floats do not add up: `0.1 + 0.2` is not `0.3`, and the
/// order matters. [`minor_units`] makes them of prices.
///
/// ```
/// use ephor_sdk::state::{Sum, minor_units};
///
/// let mut cents = Sum::default();
/// for price in [0.1, 0.2, 2.55] {
///     let price = minor_units(price, 2).expect("a price in cents");
///     cents.add(price).expect("a sum that fits");
/// }
/// assert_eq!(cents.get(), 285);
///
/// // A sum that does not fit stays what it was, and says so.
/// assert!(cents.add(i64::MAX).is_err());
/// assert_eq!(cents.get(), 285);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sum(i64);

impl Sum {
    /// Adds a number, which may be negative, and returns the sum.
    ///
    /// # Errors
    ///
    /// If the sum does not fit into 64 bits; it then stays as it is. The row
    /// should be undecided.
    pub fn add(&mut self, number: i64) -> Result<i64, Overflow> {
        self.0 = self.0.checked_add(number).ok_or(Overflow)?;
        Ok(self.0)
    }

    /// The sum.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl IntoEvidence for Sum {
    fn into_evidence(self) -> String {
        self.0.to_string()
    }
}

/// A sum does not fit into 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

impl fmt::Display for Overflow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the sum does not fit into 64 bits")
    }
}

impl std::error::Error for Overflow {}

/// An amount with `decimals` places as a whole number of its smallest unit:
/// 2.55 with two places is 255.
///
/// Nothing if the amount is no number with so many places at most, or has more
/// than 15 digits, beyond which a float does not tell decimal numbers apart.
///
/// ```
/// use ephor_sdk::state::minor_units;
///
/// assert_eq!(minor_units(2.55, 2), Some(255));
/// assert_eq!(minor_units(-0.07, 2), Some(-7));
/// assert_eq!(minor_units(2.555, 2), None);
/// assert_eq!(minor_units(0.1 + 0.2, 2), None);
/// assert_eq!(minor_units(1e300, 2), None);
/// ```
#[must_use]
pub fn minor_units(amount: f64, decimals: u32) -> Option<i64> {
    // Powers of ten are whole numbers that binary64 has, up to 10^22.
    let unit = 10_i64.checked_pow(decimals).filter(|_| decimals <= 15)? as f64;
    let units = (amount * unit).round();
    // Both sides are exact and division rounds to the nearest, so this holds if
    // and only if `amount` is the float that is nearest to that decimal number.
    (units.abs() < ALL_WHOLE && units / unit == amount).then_some(units as i64)
}
