//! Credentials and certificates for a server.

use btdt_host_runtime::auth::Token;

/// Credentials and certificates for a server.
pub(crate) struct Connection {
    /// The user's token, which leaves this machine only attenuated.
    pub(crate) token: Option<Token>,
    /// Contents of files with trusted certificates, in PEM form.
    pub(crate) root_certificates: Vec<Vec<u8>>,
}
