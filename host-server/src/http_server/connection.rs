//! Accepts connections and serves them until the server ends.

use super::io_timeouts::{Activity, TimedStream, Timeouts};
use super::request_handler;
use crate::service::Service;
use crate::tls::Tls;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_rustls::TlsAcceptor;

/// Most headers of one request.
const MAX_HEADERS: usize = 100;

/// Smallest buffer for the head of a request that the HTTP library accepts, in bytes.
const LEAST_BUFFER: usize = 8192;

/// How long to wait when no connection can be accepted, for example because there are too many
/// open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the connections of all listeners.
pub(crate) struct Acceptor {
    service: Arc<Service>,
    tls: Option<Arc<Tls>>,
    stop: watch::Receiver<bool>,
}

impl Acceptor {
    /// An acceptor that stops when `stop` becomes true.
    pub(crate) fn new(
        service: Arc<Service>,
        tls: Option<Arc<Tls>>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Acceptor { service, tls, stop }
    }

    /// Accepts connections until the server stops.
    pub(crate) async fn run(self: Arc<Self>, listener: TcpListener) {
        let mut stop = self.stop.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match accepted {
                Ok((stream, peer)) => self.begin(stream, peer),
                Err(error) => {
                    // A peer that has gone already is not worth a line in the log.
                    if error.kind() != io::ErrorKind::ConnectionAborted {
                        tracing::warn!(%error, "Could not accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }

    fn begin(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let Some(permit) = self.service.admission.connection() else {
            self.service.metrics.refused_connections.inc();
            tracing::debug!(%peer, "Refused a connection, because there are too many");
            return;
        };
        let acceptor = Arc::clone(self);
        tokio::spawn(async move {
            acceptor.service.metrics.connections.inc();
            if let Err(error) = acceptor.serve(stream, permit).await {
                tracing::debug!(%peer, ?error, "A connection ended with an error");
            }
            acceptor.service.metrics.connections.dec();
        });
    }

    async fn serve(
        &self,
        stream: TcpStream,
        _permit: OwnedSemaphorePermit,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return self.serve_http(stream).await };
        let accepting = TlsAcceptor::from(tls.server_config()).accept(stream);
        let accepting = tokio::time::timeout(self.service.limits.header_timeout, accepting);
        let mut stop = self.stop.clone();
        let stream = tokio::select! {
            accepted = accepting => accepted??,
            // There is no request yet.
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        };
        self.serve_http(stream).await
    }

    async fn serve_http<S>(&self, stream: S) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = &self.service.limits;
        let timeouts = Timeouts {
            head: limits.header_timeout,
            idle: limits.idle_timeout,
            write: limits.body_timeout,
        };
        let activity = Arc::new(Activity::default());
        let stream = TimedStream::new(stream, timeouts, Arc::clone(&activity));
        let service = service_fn(|request| {
            activity.begin();
            let (service, activity) = (Arc::clone(&self.service), Arc::clone(&activity));
            let answer = request_handler::answer(service, activity, request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let buffer = usize::try_from(limits.max_header_size).unwrap_or(usize::MAX);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // It cannot tell an idle connection from a slow head; the stream has timeouts for both.
            .header_read_timeout(None)
            .max_buf_size(buffer.max(LEAST_BUFFER))
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let mut stop = self.stop.clone();
        tokio::select! {
            served = connection.as_mut() => return Ok(served?),
            _ = stop.wait_for(|stop| *stop) => {}
        }
        // The request in progress is answered, and no other one is read.
        connection.as_mut().graceful_shutdown();
        Ok(connection.await?)
    }
}
