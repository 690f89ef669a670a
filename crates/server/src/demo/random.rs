//! Chance that is the same for the same seed, on every machine and in every version.

/// SplitMix64: small, quick, and good enough for sample data.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The chance of `seed`, and of `stream` within it: one ticket's course does not hang on another's.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included; `low` where they are the wrong way round.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = high.saturating_sub(low).max(0).unsigned_abs() + 1;
        low + i64::try_from(self.next() % span).unwrap_or(0)
    }

    /// True so many times in a hundred.
    pub(super) fn percent(&mut self, chance: i64) -> bool {
        self.between(1, 100) <= chance
    }

    /// An index below `count`; 0 when there is none.
    pub(super) fn index(&mut self, count: usize) -> usize {
        let last = i64::try_from(count).unwrap_or(i64::MAX) - 1;
        usize::try_from(self.between(0, last)).unwrap_or(0)
    }

    /// One of several texts.
    pub(super) fn text(&mut self, texts: &[&'static str]) -> &'static str {
        texts.get(self.index(texts.len())).copied().unwrap_or_default()
    }

    /// An index, each as often as its weight says.
    pub(super) fn weighted(&mut self, weights: &[i64]) -> usize {
        let mut place = self.between(1, weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            place -= weight;
            if place <= 0 {
                return index;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_keeps_within_its_bounds_and_is_the_same_again() {
        let draw = || {
            let mut random = Random::new(7, 3);
            (0..1_000).map(|_| random.between(-2, 2)).collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
        assert!((-2..=2).all(|value| draw().contains(&value)));
        let mut random = Random::new(7, 4);
        assert!((0..1_000).all(|_| random.weighted(&[0, 5, 1]) > 0));
        assert_eq!(random.text(&[]), "");
    }
}
