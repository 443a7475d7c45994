//! Numbers that come again with the same seed.

/// A generator of numbers (SplitMix64): for samples and test data, not for secrets.
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below another, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The smallest numbers are more likely by `end` in 2^64, which nobody notices.
        self.any() % end
    }

    /// A number from `least` to `most`, which is not less; both may come.
    pub fn between(&mut self, least: i64, most: i64) -> i64 {
        // In two's complement this is the distance, also where it needs all 64 bits.
        let distance = most.wrapping_sub(least) as u64;
        let step = if distance == u64::MAX { self.any() } else { self.below(distance + 1) };
        least.wrapping_add(step as i64)
    }

    /// A number from 0 to 1, without 1.
    pub fn part(&mut self) -> f64 {
        // As many bits as the number has.
        (self.any() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True as often as something is that is true so many times of so many.
    pub fn happens(&mut self, times: u64, of: u64) -> bool {
        self.below(of.max(1)) < times
    }

    /// One of some things, each as often as it weighs; nothing where nothing weighs.
    pub fn one_of<'t, T>(&mut self, things: &'t [(T, u64)]) -> Option<&'t T> {
        let total: u64 = things.iter().map(|(_, weight)| weight).sum();
        let mut left = if total == 0 { return None } else { self.below(total) };
        for (thing, weight) in things {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return Some(thing),
            }
        }
        None
    }
}

/// What a [`digest`] begins with.
pub const DIGEST: u64 = 0xcbf2_9ce4_8422_2325;

/// Goes on with a digest of 64 bits (FNV-1a): to tell values apart, not to prove anything.
pub fn digest(before: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(before, |digest, byte| (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        // From the reference implementation by Sebastiano Vigna.
        assert_eq!(Random::new(1_234_567).any(), 6_457_827_717_110_365_317);
        let (mut one, mut other) = (Random::new(7), Random::new(7));
        for _ in 0..100 {
            assert_eq!(one.any(), other.any());
        }
    }

    #[test]
    fn numbers_stay_between_their_bounds_and_reach_them() {
        let mut random = Random::new(1);
        let mut seen = [false; 5];
        for _ in 0..1_000 {
            seen[usize::try_from(random.between(-2, 2) + 2).expect("not below -2")] = true;
            assert!((0.0..1.0).contains(&random.part()));
            assert_eq!(random.between(7, 7), 7);
            random.between(i64::MIN, i64::MAX);
            assert!(!random.happens(0, 3) && random.happens(3, 3) && !random.happens(0, 0));
        }
        assert_eq!(seen, [true; 5]);
    }

    #[test]
    fn what_weighs_more_comes_more_often() {
        let mut random = Random::new(1);
        let things = [('a', 0), ('b', 9), ('c', 1)];
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..1_000 {
            *counts.entry(*random.one_of(&things).expect("something weighs")).or_insert(0) += 1;
        }
        assert!(!counts.contains_key(&'a') && counts[&'b'] > 800 && counts[&'c'] > 50, "{counts:?}");
        assert_eq!(random.one_of(&[('a', 0)]), None);
    }

    /// From the authors' table of test vectors.
    #[test]
    fn digests_are_those_of_fnv() {
        assert_eq!(digest(DIGEST, b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(digest(DIGEST, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(digest(DIGEST, b"foobar"), 0x8594_4171_f739_67e8);
    }
}
