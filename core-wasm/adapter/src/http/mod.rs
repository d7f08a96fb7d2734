//! The client of a server over `wasi:http`: one request at a time.
//!
//! The runtime owns the connections: TLS and its trust, proxies, reuse. All else is
//! [`btdt_host_runtime::http_client`], as for the native client.
//!
//! A server cannot exhaust the client: every body has a size limit of the caller's (archives are
//! passed on as they arrive), and silence ends every wait, as does a body that only trickles.

mod gathering_sink;
mod memory_spool;
mod pollables;
mod wasi_http_errors;
mod wasi_request;
mod wasi_response;
mod wasi_transport;

pub(crate) use gathering_sink::GatheringSink;
pub(crate) use memory_spool::open as open_spool;
pub(crate) use wasi_transport::WasiTransport;

use btdt_host_runtime::auth::Token;
use btdt_host_runtime::http_client::{RequestError, ResponseBody, TokenSource, UserToken};
use btdt_ports::{HttpError, HttpErrorKind};
use std::sync::Arc;

/// The body of a response.
pub(crate) type HttpBody = ResponseBody<WasiTransport>;

/// The client of a server, with the user's token; connects to nothing yet.
pub(crate) fn connect(
    token: Option<String>,
    root_certificates: &[Vec<u8>],
) -> Result<Arc<WasiTransport>, HttpError> {
    if !root_certificates.is_empty() {
        let detail = "this runtime speaks TLS itself, and trusts whom it is set up to trust: \
                      add the certificate to those of the runtime instead of naming it here";
        return Err(RequestError::permanent(HttpErrorKind::Tls, detail).error);
    }
    let token = token
        .map(|text| Token::parse(&text))
        .transpose()
        .map_err(|fault| RequestError::permanent(HttpErrorKind::Token, fault.to_string()).error)?;
    let source = token.map(|token| Arc::new(UserToken(token)) as Arc<dyn TokenSource>);
    Ok(Arc::new(WasiTransport::new(source)))
}
