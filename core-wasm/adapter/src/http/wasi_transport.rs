//! Sends requests over the connections of the runtime.

use super::pollables::sleep;
use super::wasi_request::{self, Payload};
use super::wasi_response::WasiResponse;
use btdt_host_runtime::clock;
use btdt_host_runtime::http_client::{
    ClientState, Pause, Request, RequestError, TokenSource, Transport, Url,
};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// Requests over the connections of the runtime.
pub(crate) struct WasiTransport {
    state: ClientState,
}

impl WasiTransport {
    pub(super) fn new(token: Option<Arc<dyn TokenSource>>) -> Self {
        WasiTransport { state: ClientState::new(token, clock::now) }
    }

    fn send(
        &self,
        request: &Request,
        url: &Url,
        payload: Payload<'_>,
    ) -> Result<WasiResponse, RequestError> {
        let (response, unsent) = wasi_request::send(self.state.bearer()?, request, url, payload)?;
        WasiResponse::receive(response, unsent, url)
    }
}

impl Pause for WasiTransport {
    fn pause(&self, duration: Duration) {
        sleep(duration);
    }
}

impl Transport for WasiTransport {
    type Response = WasiResponse;

    fn state(&self) -> &ClientState {
        &self.state
    }

    fn send_once(
        self: &Arc<Self>,
        request: &Request,
        url: &Url,
    ) -> Result<WasiResponse, RequestError> {
        let payload = match &request.body[..] {
            [] => Payload::Nothing,
            bytes => Payload::Bytes(bytes),
        };
        self.send(request, url, payload)
    }

    fn send_stream(
        self: &Arc<Self>,
        request: &Request,
        mut body: impl Read + Send + 'static,
    ) -> Result<WasiResponse, RequestError> {
        self.send(request, &request.url, Payload::Stream(&mut body))
    }
}
