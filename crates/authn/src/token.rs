//! Bearer tokens, asked of the API server and remembered for ten seconds.

use std::{sync::Arc, time::Duration};

use attributes::User;
use aws_lc_rs::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use moka::future::Cache;
use upstream::{ControlClient, NoAnswer, Reviewed};

/// How long an answer counts: a revoked token stops writing after so long.
const REMEMBERED: Duration = Duration::from_secs(10);
const TOKENS_MAX: u64 = 10_000;

/// Why a token names nobody.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// The API server does not know it.
    #[error("Unauthorized")]
    Unauthenticated,
    /// The API server did not answer.
    #[error("{0}")]
    NoAnswer(NoAnswer),
    /// Nobody could be asked.
    #[error("the API server could not be asked who this is: {0}")]
    Unavailable(String),
}

/// Answers of TokenReview, by keyed digest of the token: the tokens themselves are not kept.
#[derive(Clone)]
pub struct Tokens {
    own: ControlClient,
    key: Arc<hmac::Key>,
    answers: Cache<[u8; 32], Reviewed>,
}

impl Tokens {
    /// Starts with nothing remembered and a key of this process alone.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn new(own: ControlClient) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut key = [0; 32];
        SystemRandom::new().fill(&mut key)?;
        let answers = Cache::builder().max_capacity(TOKENS_MAX).time_to_live(REMEMBERED).build();
        Ok(Self { own, key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &key)), answers })
    }

    /// Whose token it is. Concurrent questions about one token are asked once.
    ///
    /// # Errors
    /// [`TokenError::Unauthenticated`] for an unknown token; any other where there was no answer, which
    /// is not remembered.
    pub async fn user(&self, token: &str) -> Result<User, TokenError> {
        let asked = self.own.review_token(token);
        match self.answers.try_get_with(self.digest(token), asked).await {
            Ok(reviewed) => user_of(reviewed),
            Err(error) => Err(match NoAnswer::to_own(&error) {
                Some(no_answer) => TokenError::NoAnswer(no_answer),
                None => TokenError::Unavailable(error.to_string()),
            }),
        }
    }

    /// Whose token it is, where that was asked lately; nobody is asked now.
    pub async fn remembered(&self, token: &str) -> Option<Result<User, TokenError>> {
        self.answers.get(&self.digest(token)).await.map(user_of)
    }

    fn digest(&self, token: &str) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(hmac::sign(&self.key, token.as_bytes()).as_ref());
        digest
    }
}

fn user_of(reviewed: Reviewed) -> Result<User, TokenError> {
    match reviewed {
        Reviewed::Authenticated(user) => Ok(user),
        Reviewed::Unauthenticated => Err(TokenError::Unauthenticated),
    }
}
