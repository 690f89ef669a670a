//! Random waits, so that nodes that started at once do not work at once for ever.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::time::Duration;

/// `time`, give or take a fifth.
pub(crate) fn about(time: Duration) -> Duration {
    // Every `RandomState` has keys of its own.
    let random = RandomState::new().hash_one(0_u8) % 401;
    // 0.8 to 1.2 in steps of a thousandth.
    time * u32::try_from(800 + random).unwrap_or(1_000) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_within_a_fifth() {
        for _ in 0..1_000 {
            let time = about(Duration::from_secs(10));
            assert!((8.0..=12.0).contains(&time.as_secs_f64()), "{time:?}");
        }
    }
}
