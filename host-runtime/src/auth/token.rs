//! The token of a client.

use super::encoding::{self, MAX_TOKEN_SIZE};
use super::keys::PublicKey;
use super::restrictions::Restrictions;
use super::secret_file::{self, Readers, SecretFileError};
use biscuit_auth::{UnverifiedBiscuit, error};
use btdt_ports::{Scope, Timestamp, TokenFault};
use std::fmt;
use std::path::{Path, PathBuf};

/// A token whose signatures have not been verified. It is never shown.
pub struct Token {
    biscuit: UnverifiedBiscuit,
    bytes: Vec<u8>,
}

/// Why a token cannot be attenuated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttenuateError {
    /// It is sealed.
    #[error("the token is sealed, so that it cannot be narrowed down")]
    Sealed,
    /// It would become too large.
    #[error("the token would become longer than {} KiB", MAX_TOKEN_SIZE >> 10)]
    TooLarge,
    /// Its blocks are inconsistent.
    #[error("the token is malformed")]
    Malformed,
}

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The file cannot be accessed.
    #[error(transparent)]
    File(SecretFileError),
    /// The group may read it, which must be allowed explicitly.
    #[error(
        "{path} can be read by its group (its mode is {mode:04o}); run: chmod 600 {path}, or allow \
         it if that is a mount whose mode cannot be changed"
    )]
    GroupReadable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Its content is not a token.
    #[error("{path} has no token in it: a Biscuit token in base64 is needed")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// A file that contains a token.
#[derive(Clone, Copy, Debug)]
pub struct TokenFile;

impl TokenFile {
    /// Reads a token from a file that only its owner can access; with `allow_group_readable`, its
    /// group may read but never write it. Follows symbolic links.
    pub fn read(path: &Path, allow_group_readable: bool) -> Result<Token, TokenFileError> {
        let readers = if allow_group_readable { Readers::OwnerAndGroup } else { Readers::Owner };
        let text = secret_file::read(path, readers).map_err(|error| match error {
            SecretFileError::Exposed { path, mode } if mode & 0o037 == 0 => {
                TokenFileError::GroupReadable { path, mode }
            }
            other => TokenFileError::File(other),
        })?;
        Token::parse(&text).map_err(|_| TokenFileError::Malformed { path: path.to_owned() })
    }
}

impl Token {
    /// Parses base64, ignoring white space; also base64 of base64, the result of piping the output
    /// of the `biscuit` tool through `base64`.
    pub fn parse(text: &str) -> Result<Self, TokenFault> {
        // `base64` wraps its lines.
        let compact = |text: &str| text.split_ascii_whitespace().collect::<String>();
        let outer = encoding::decode_up_to(&compact(text), 2 * MAX_TOKEN_SIZE);
        let bytes = outer.ok_or(TokenFault::Malformed)?;
        let inner =
            std::str::from_utf8(&bytes).ok().and_then(|text| encoding::decode(&compact(text)));
        let bytes = inner.unwrap_or(bytes);
        let biscuit = UnverifiedBiscuit::from(&bytes).map_err(|_| TokenFault::Malformed)?;
        let token = Token { biscuit, bytes };
        if token.to_text().len() > MAX_TOKEN_SIZE {
            return Err(TokenFault::Malformed);
        }
        Ok(token)
    }

    /// The whole token in the base64 of Biscuit, with all its rights. Prefer [`Token::attenuate`]
    /// for sending it.
    #[must_use]
    pub fn to_text(&self) -> String {
        encoding::encode(&self.bytes)
    }

    /// The text of a token that is limited to `scope` and to its time, counted from `now`.
    ///
    /// # Errors
    /// When the token cannot be attenuated, usually because it is sealed.
    pub fn attenuate(&self, scope: &Scope, now: Timestamp) -> Result<String, AttenuateError> {
        self.restrict(&Restrictions::of_scope(scope, now))
    }

    /// The text of a token that is limited to the restrictions.
    ///
    /// # Errors
    /// When the token cannot be attenuated, usually because it is sealed.
    pub fn restrict(&self, restrictions: &Restrictions) -> Result<String, AttenuateError> {
        let narrowed = self.biscuit.append(restrictions.block()).and_then(|token| token.to_vec());
        let bytes = narrowed.map_err(|error| match error {
            error::Token::AppendOnSealed | error::Token::AlreadySealed => AttenuateError::Sealed,
            _ => AttenuateError::Malformed,
        })?;
        let text = encoding::encode(&bytes);
        if text.len() > MAX_TOKEN_SIZE { Err(AttenuateError::TooLarge) } else { Ok(text) }
    }

    /// Whether all its signatures are valid and the first is by one of the keys.
    #[must_use]
    pub fn is_signed_by(&self, keys: &[PublicKey]) -> bool {
        keys.iter().any(|key| self.biscuit.clone().verify(key.0).is_ok())
    }

    pub(super) fn biscuit(&self) -> &UnverifiedBiscuit {
        &self.biscuit
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}
