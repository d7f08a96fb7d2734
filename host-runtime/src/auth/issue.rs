//! Issues tokens.

use super::encoding;
use super::keys::PrivateKey;
use super::restrictions::Restrictions;
use biscuit_auth::BiscuitBuilder;

/// Why a token could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The restrictions are too long.
    #[error("the token would be longer than {} KiB; give fewer or shorter restrictions", encoding::MAX_TOKEN_SIZE >> 10)]
    TooLarge,
    /// The library refuses to sign.
    #[error("the key cannot sign a token")]
    Unsignable,
}

/// A new token that allows everything within the restrictions.
///
/// # Errors
/// When it would be too large for a server to accept.
pub fn issue(key: &PrivateKey, restrictions: &Restrictions) -> Result<String, IssueError> {
    let token = BiscuitBuilder::new()
        .merge(restrictions.block())
        .build(key.pair())
        .and_then(|token| token.to_vec())
        .map_err(|_| IssueError::Unsignable)?;
    let text = encoding::encode(&token);
    if text.len() > encoding::MAX_TOKEN_SIZE {
        return Err(IssueError::TooLarge);
    }
    Ok(text)
}
