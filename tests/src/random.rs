//! Numbers that come again with the same seed.

use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;

/// A generator of numbers (SplitMix64): for tests, not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The seed is in an environment variable, or another one each time. Says which it
    /// is where everyone sees it, also without `--nocapture`.
    ///
    /// # Panics
    ///
    /// If the variable holds no number.
    pub fn from_env(variable: &str) -> Random {
        let seed = number(variable).unwrap_or_else(|| RandomState::new().hash_one(variable));
        let _ = writeln!(std::io::stderr().lock(), "\nseed: {variable}={seed}");
        Random(seed)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below another, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The smallest numbers are more likely by `end` in 2^64, which no test notices.
        self.any() % end
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Puts a list in another order, all orders alike.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// Another generator, so that threads need not share one.
    pub fn fork(&mut self) -> Random {
        Random(self.any())
    }
}

/// A number in an environment variable.
///
/// # Panics
///
/// If there is something else in it.
pub fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text:?} is no number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let mut random = Random::new(1);
        let first = [random.any(), random.any()];
        let mut again = Random::new(1);
        assert_eq!([again.any(), again.any()], first);
        // From the reference implementation by Sebastiano Vigna.
        assert_eq!(Random::new(1_234_567).any(), 6_457_827_717_110_365_317);
    }

    #[test]
    fn shuffling_keeps_everything() {
        let mut list: Vec<u32> = (0..100).collect();
        Random::new(7).shuffle(&mut list);
        assert!(!list.is_sorted());
        list.sort_unstable();
        assert_eq!(list, (0..100).collect::<Vec<u32>>());
    }
}
