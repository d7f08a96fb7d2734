//! The client of a server, whatever makes its connections.
//!
//! It decides when a request is sent again and where redirects may lead, narrows the user's token,
//! reads the bodies of responses, and transfers chunks. It has no connections: the native client
//! and the WASI adapter each implement [`Transport`].

mod bearer_token;
mod body_decoding;
mod chunk_transfer;
mod client_request;
mod client_state;
mod minimum_rate;
mod redirect;
mod request_error;
mod response_body;
mod retry;
mod transport;
#[cfg(feature = "auth")]
mod user_token;

pub use bearer_token::{BearerHeader, TokenSource};
pub use chunk_transfer::{ChunkRequests, transfer_workers};
pub use client_request::Request;
pub use client_state::ClientState;
pub use minimum_rate::{ArrivalRate, MINIMUM_RATE};
pub use request_error::{RequestError, host_and_port};
pub use response_body::{MAX_TRUSTED_LENGTH, ResponseBody, send, upload, upload_archive};
pub use retry::Pause;
pub use transport::{Response, Transport};
pub use url::Url;
#[cfg(feature = "auth")]
pub use user_token::UserToken;
