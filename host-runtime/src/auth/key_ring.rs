//! The trusted keys, and their verdicts on tokens.

use super::encoding;
use super::evaluate::Verified;
use super::generations::Generations;
use super::keys::PublicKey;
use super::revocation::RevocationList;
use biscuit_auth::UnverifiedBiscuit;
use btdt_ports::{Access, Authority, Timestamp, TokenFault, Verdict};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Returns the time of day.
pub type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// Tokens in a generation of the cache.
const MAX_TOKENS: usize = 512;
/// Bytes of their texts. A parsed token takes about ten times as much.
const MAX_TOKEN_BYTES: usize = 1024 * 1024;
/// The most verdicts that are remembered for a token.
const MAX_ANSWERS: usize = 64;

/// The public keys that verify tokens, and the list of revoked tokens.
///
/// The signatures of a token are verified once and remembered by the SHA-256 of its text. Verdicts
/// are remembered for one second: facts contain the time in whole seconds, so the verdict would be
/// the same. Revocation is checked every time.
pub struct KeyRing {
    keys: RwLock<Keys>,
    revocations: Arc<RevocationList>,
    clock: Clock,
    known: Mutex<Generations<Arc<Known>>>,
}

#[derive(Clone)]
struct Keys {
    keys: Arc<[PublicKey]>,
    /// Counts replacements, so that nothing is remembered under replaced keys.
    generation: u64,
}

struct Known {
    token: Verified,
    answers: Mutex<Answers>,
}

/// The verdicts on a token in a certain second.
#[derive(Default)]
struct Answers {
    seconds: u64,
    verdicts: HashMap<Access, Verdict>,
}

impl KeyRing {
    /// Trusts `keys`. Without keys, no token is valid.
    #[must_use]
    pub fn new(keys: Vec<PublicKey>, revocations: Arc<RevocationList>, clock: Clock) -> Self {
        KeyRing {
            keys: RwLock::new(Keys { keys: keys.into(), generation: 0 }),
            revocations,
            clock,
            known: Mutex::new(Generations::new(MAX_TOKENS, MAX_TOKEN_BYTES)),
        }
    }

    /// Replaces the trusted keys.
    pub fn replace_keys(&self, keys: Vec<PublicKey>) {
        {
            let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
            *current = Keys { keys: keys.into(), generation: current.generation + 1 };
        }
        lock(&self.known).clear();
    }

    /// The list of revoked tokens, to be reloaded.
    #[must_use]
    pub fn revocations(&self) -> &Arc<RevocationList> {
        &self.revocations
    }

    fn verified(&self, text: &str) -> Result<Arc<Known>, TokenFault> {
        if text.len() > encoding::MAX_TOKEN_SIZE {
            return Err(TokenFault::Malformed);
        }
        let Keys { keys, generation } =
            self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        let digest = Sha256::new().chain_update(generation.to_le_bytes()).chain_update(text);
        let name: [u8; 32] = digest.finalize().into();
        if let Some(known) = lock(&self.known).get(&name) {
            return Ok(known);
        }
        let token = verify(text, &keys)?;
        let known = Arc::new(Known { token, answers: Mutex::default() });
        lock(&self.known).insert(name, Arc::clone(&known), text.len());
        Ok(known)
    }
}

fn verify(text: &str, keys: &[PublicKey]) -> Result<Verified, TokenFault> {
    let bytes = encoding::decode(text).ok_or(TokenFault::Malformed)?;
    // Clients may send anything. Refuse whatever makes the library panic.
    let verified = catch_unwind(|| {
        let token = UnverifiedBiscuit::from(&bytes).map_err(|_| TokenFault::Malformed)?;
        let verified = keys.iter().find_map(|key| token.clone().verify(key.0).ok());
        verified.ok_or(TokenFault::Forged)
    });
    verified.unwrap_or(Err(TokenFault::Malformed)).map(Verified::new)
}

impl Known {
    fn answer(&self, access: &Access, seconds: u64) -> Verdict {
        {
            let answers = lock(&self.answers);
            if answers.seconds == seconds
                && let Some(verdict) = answers.verdicts.get(access)
            {
                return *verdict;
            }
        }
        let verdict = self.token.evaluate(access, seconds);
        let mut answers = lock(&self.answers);
        if answers.seconds != seconds {
            *answers = Answers { seconds, verdicts: HashMap::new() };
        }
        if answers.verdicts.len() < MAX_ANSWERS {
            answers.verdicts.insert(access.clone(), verdict);
        }
        verdict
    }
}

impl Authority for KeyRing {
    fn authorize(&self, token: &str, accesses: &[Access]) -> Result<Vec<Verdict>, TokenFault> {
        let known = self.verified(token)?;
        if self.revocations.has_any(known.token.revocation_ids()) {
            return Err(TokenFault::Revoked);
        }
        // A clock before 1970 is wrong by decades, and no token of this century has expired by
        // then.
        let seconds = u64::try_from((self.clock)().seconds).unwrap_or_default();
        Ok(accesses.iter().map(|access| known.answer(access, seconds)).collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{PrivateKey, Restrictions, issue};

    fn ring(keys: &[&PrivateKey]) -> KeyRing {
        let keys = keys.iter().map(|key| key.public()).collect();
        let clock = Box::new(|| Timestamp { seconds: 0, nanoseconds: 0 });
        KeyRing::new(keys, Arc::new(RevocationList::empty()), clock)
    }

    #[test]
    fn all_threads_of_a_server_share_it() {
        fn is_shared<T: Send + Sync>() {}
        is_shared::<KeyRing>();
    }

    #[test]
    fn signatures_are_verified_once() {
        let key = PrivateKey::generate();
        let ring = ring(&[&key]);
        let token = issue(&key, &Restrictions::default()).unwrap();
        let first = ring.verified(&token).unwrap();
        assert!(Arc::ptr_eq(&first, &ring.verified(&token).unwrap()));
    }

    #[test]
    fn keys_that_are_replaced_take_their_tokens_along() {
        let (old, new) = (PrivateKey::generate(), PrivateKey::generate());
        let ring = ring(&[&old, &new]);
        let of_old = issue(&old, &Restrictions::default()).unwrap();
        let of_new = issue(&new, &Restrictions::default()).unwrap();
        assert!(ring.authorize(&of_old, &[]).is_ok());
        assert!(ring.authorize(&of_new, &[]).is_ok());
        ring.replace_keys(vec![new.public()]);
        assert_eq!(ring.authorize(&of_old, &[]), Err(TokenFault::Forged));
        assert!(ring.authorize(&of_new, &[]).is_ok());
        ring.replace_keys(Vec::new());
        assert_eq!(ring.authorize(&of_new, &[]), Err(TokenFault::Forged));
    }

    #[test]
    fn answers_are_bounded() {
        let key = PrivateKey::generate();
        let ring = ring(&[&key]);
        let token = issue(&key, &Restrictions::default()).unwrap();
        for number in 0..1000 {
            let operation = btdt_ports::Operation::Get;
            let access = Access { operation, cache: "c".into(), key: Some(number.to_string()) };
            assert_eq!(ring.authorize(&token, &[access]).unwrap(), [Verdict::Allowed]);
        }
        let known = ring.verified(&token).unwrap();
        assert_eq!(lock(&known.answers).verdicts.len(), MAX_ANSWERS);
    }
}
