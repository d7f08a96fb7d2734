//! What every client of a server keeps to, whatever makes its connections.
//!
//! When a request is sent again, where redirections may lead, how long a derived token serves, how
//! answers are read, and the words in which all of that fails. Nothing here has a connection.

pub mod address;
pub mod answers;
pub mod bearer;
pub mod chunks;
pub mod failure;
pub mod pace;
pub mod redirect;
pub mod retry;
#[cfg(feature = "auth")]
mod user_token;

pub use bearer::{Bearer, BearerHeader, TokenSource};
pub use failure::Failure;
pub use retry::Pause;
pub use url::Url;
#[cfg(feature = "auth")]
pub use user_token::UserToken;
