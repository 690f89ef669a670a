//! Argon2id, off the async workers.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::password_hash::{Error, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use identity::ports::PasswordHasher;
use identity::{Password, PasswordAttempt, PasswordHash};
use kernel::PortError;
use kernel::failure::BoxError;
use tokio::sync::Semaphore;

use crate::pool::Pool;

const PORT: &str = "password hasher";

/// Hashes with Argon2id: 19 MiB, two passes, one lane, as OWASP recommends.
///
/// Each hash holds a core for tens of milliseconds. So only so many run at once, and only so many wait; the rest are
/// turned away at once instead of all being late. They run on threads of their own and of lower priority, so that the
/// threads that answer other requests come first.
pub struct Argon2Hasher {
    argon2: Argon2<'static>,
    /// Admits whoever may run or wait.
    queue: Arc<Semaphore>,
    /// Runs so many at once, in turn.
    pool: Pool,
}

impl Argon2Hasher {
    /// Memory for one hash, in KiB.
    pub const MEMORY_KIB: u32 = 19_456;
    /// Passes over that memory.
    pub const PASSES: u32 = 2;
    /// Lanes of that memory.
    pub const LANES: u32 = 1;
    /// The most hashes that run at once for each core.
    pub const RUNNING_PER_CORE_MAX: usize = 4;
    /// The most hashes that wait for their turn.
    pub const WAITING_MAX: usize = 256;

    /// A hasher that runs as many at once as there are cores.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn new() -> Result<Self, PortError> {
        Self::with_running_max(cores())
    }

    /// A hasher that runs up to `running_max` at once, held within 1 and 4 for each core.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn with_running_max(running_max: usize) -> Result<Self, PortError> {
        Self::bounded(
            running_max.clamp(1, cores() * Self::RUNNING_PER_CORE_MAX),
            Self::WAITING_MAX,
        )
    }

    fn bounded(running_max: usize, waiting_max: usize) -> Result<Self, PortError> {
        let params = Params::new(Self::MEMORY_KIB, Self::PASSES, Self::LANES, None).map_err(|error| {
            PortError::Bug {
                port: PORT,
                source: error.to_string().into(),
            }
        })?;
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            queue: Arc::new(Semaphore::new(running_max + waiting_max)),
            pool: Pool::new(running_max).map_err(unavailable)?,
        })
    }

    /// Runs `work` when its turn comes. The permit goes with the work: a caller that gives up does not let another in
    /// while the work still runs.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, PortError> {
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(unavailable)?;
        let argon2 = self.argon2.clone();
        let outcome = self.pool.run(move || {
            let outcome = work(&argon2);
            drop(place);
            outcome
        });
        outcome
            .await
            .map_err(unavailable)?
            .map_err(|error| bug(error.to_string()))
    }
}

fn cores() -> usize {
    available_parallelism().map_or(1, NonZeroUsize::get)
}

fn unavailable(error: impl Into<BoxError>) -> PortError {
    PortError::Unavailable {
        port: PORT,
        source: error.into(),
    }
}

fn bug(error: impl Into<BoxError>) -> PortError {
    PortError::Bug {
        port: PORT,
        source: error.into(),
    }
}

#[async_trait]
impl PasswordHasher for Argon2Hasher {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, PortError> {
        let password = password.clone();
        let phc = self
            .run(move |argon2| argon2.hash_password(password.expose().as_bytes()))
            .await?;
        Ok(PasswordHash::from_phc(phc.to_string()))
    }

    async fn verify(&self, hash: &PasswordHash, attempt: &PasswordAttempt) -> Result<bool, PortError> {
        if hash.is_unset() {
            return self.verify_nothing(attempt).await.map(|()| false);
        }
        let phc = Phc::new(hash.as_str()).map_err(|error| bug(error.to_string()))?;
        let attempt = attempt.clone();
        self.run(
            move |argon2| match argon2.verify_password(attempt.expose().as_bytes(), &phc) {
                Ok(()) => Ok(true),
                Err(Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(error),
            },
        )
        .await
    }

    async fn verify_nothing(&self, attempt: &PasswordAttempt) -> Result<(), PortError> {
        let attempt = attempt.clone();
        // To verify is to hash with the stored salt and compare; only the comparison is left out.
        self.run(move |argon2| {
            argon2
                .hash_password_with_salt(attempt.expose().as_bytes(), &[0; 16])
                .map(drop)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use identity::PasswordPolicy;

    use super::*;

    fn password(raw: &str) -> Password {
        Password::parse("/password", raw, PasswordPolicy::default()).unwrap()
    }

    fn attempt(raw: &str) -> PasswordAttempt {
        PasswordAttempt::new(raw).unwrap()
    }

    #[tokio::test]
    async fn an_account_without_a_password_has_none_that_matches() {
        let hasher = Argon2Hasher::new().unwrap();
        for tried in ["", "!", "seven purple lanterns"] {
            let matches = hasher.verify(&PasswordHash::unset(), &attempt(tried)).await;
            assert!(!matches.unwrap(), "{tried:?}");
        }
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_with_the_recommended_cost_and_its_own_salt() {
        let hasher = Argon2Hasher::new().unwrap();
        let one = hasher.hash(&password("seven purple lanterns")).await.unwrap();
        let other = hasher.hash(&password("seven purple lanterns")).await.unwrap();
        assert!(
            one.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            one.as_str()
        );
        assert!(one.as_str().len() <= 255, "it fits its column");
        assert_ne!(one.as_str(), other.as_str());
    }

    #[tokio::test]
    async fn every_character_of_a_password_counts() {
        let hasher = Argon2Hasher::new().unwrap();
        let long = "correct horse ".repeat(9) + "äÖ";
        assert_eq!(long.chars().count(), 128);
        let hash = hasher.hash(&password(&long)).await.unwrap();
        assert!(hasher.verify(&hash, &attempt(&long)).await.unwrap());
        let last = long.replace('Ö', "ö");
        let seventy_third: String = long
            .chars()
            .enumerate()
            .map(|(i, c)| if i == 72 { '#' } else { c })
            .collect();
        for wrong in [last.as_str(), &seventy_third, long.trim_end_matches('Ö'), ""] {
            assert!(!hasher.verify(&hash, &attempt(wrong)).await.unwrap());
        }
        let spaced = hasher.hash(&password("trailing space ")).await.unwrap();
        assert!(!hasher.verify(&spaced, &attempt("trailing space")).await.unwrap());
    }

    #[tokio::test]
    async fn a_hash_of_earlier_settings_is_still_verified() {
        let params = Params::new(8, 1, 1, None).unwrap();
        let earlier = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let phc = earlier.hash_password(b"old password of mine").unwrap();
        let hash = PasswordHash::from_phc(phc.to_string());
        let hasher = Argon2Hasher::new().unwrap();
        assert!(
            hasher
                .verify(&hash, &attempt("old password of mine"))
                .await
                .unwrap()
        );
        assert!(
            !hasher
                .verify(&hash, &attempt("old password of yours"))
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn no_password_opens_an_account_without_one() {
        let hasher = Argon2Hasher::new().unwrap();
        let none = PasswordHash::from_phc("!");
        for tried in ["!", "", "anything"] {
            assert!(!hasher.verify(&none, &attempt(tried)).await.unwrap(), "{tried}");
        }
        // It waits for its turn like any other.
        let hasher = Argon2Hasher::bounded(1, 0).unwrap();
        let _place = Arc::clone(&hasher.queue).try_acquire_owned().unwrap();
        let refused = hasher.verify(&none, &attempt("anything")).await;
        assert!(
            matches!(refused, Err(PortError::Unavailable { .. })),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_holds_its_place_until_its_work_is_over() {
        let hasher = Argon2Hasher::bounded(1, 1).unwrap();
        let (begin, begun) = std::sync::mpsc::channel::<()>();
        let mut work = Box::pin(hasher.run(move |_| {
            let _ = begun.recv();
            Ok(())
        }));
        let first = poll_once(work.as_mut()).await;
        assert!(first.is_none(), "it runs");
        drop(work);
        assert_eq!(hasher.queue.available_permits(), 1);
        begin.send(()).unwrap();
        hasher.verify_nothing(&attempt("anything")).await.unwrap();
        assert_eq!(hasher.queue.available_permits(), 2);
    }

    /// Looks at a future once.
    async fn poll_once<F: Future + Unpin>(future: F) -> Option<F::Output> {
        let mut future = future;
        std::future::poll_fn(|context| {
            let polled = std::pin::Pin::new(&mut future).poll(context);
            std::task::Poll::Ready(match polled {
                std::task::Poll::Ready(value) => Some(value),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }

    #[tokio::test]
    async fn what_is_no_hash_is_a_fault_and_not_a_wrong_password() {
        let hasher = Argon2Hasher::new().unwrap();
        for text in ["", "plain", "$argon2id$broken", "$2b$12$abcdefghijklmnopqrstuv"] {
            let outcome = hasher
                .verify(&PasswordHash::from_phc(text), &attempt("anything"))
                .await;
            assert!(
                matches!(outcome, Err(PortError::Bug { .. })),
                "{text}: {outcome:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_full_queue_turns_newcomers_away() {
        let hasher = Argon2Hasher::bounded(1, 1).unwrap();
        let nothing = attempt("anything");
        let places = Arc::clone(&hasher.queue).try_acquire_many_owned(2).unwrap();
        let refused = hasher.verify_nothing(&nothing).await;
        assert!(
            matches!(refused, Err(PortError::Unavailable { .. })),
            "{refused:?}"
        );
        drop(places);
        hasher.verify_nothing(&nothing).await.unwrap();
        assert_eq!(hasher.queue.available_permits(), 2);
    }

    #[test]
    fn the_bound_on_running_hashes_is_held() {
        let most = cores() * Argon2Hasher::RUNNING_PER_CORE_MAX;
        for (asked, given) in [(0, 1), (1, 1), (usize::MAX, most)] {
            assert_eq!(
                Argon2Hasher::with_running_max(asked).unwrap().pool.threads(),
                given
            );
        }
    }
}
