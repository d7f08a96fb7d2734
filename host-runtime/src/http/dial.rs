//! Connections for uploads.
//!
//! An upload has one of its own: it cannot be repeated when an idle connection turns out to have
//! just been closed. So has a chunk after a connection that broke. And it is made here, not by
//! reqwest, because of what a server does that has seen enough (too large, disk full, token
//! expired): it answers and closes while the body is still being written. The failed write must
//! not hide the answer, and reqwest lets nobody between itself and the socket: of 200 such answers
//! it lost 80.

use super::client::Shared;
use super::failures::{self, Failure, place};
use super::proxies::ChosenProxy;
use btdt_ports::HttpErrorKind;
use hyper_util::rt::TokioIo;
use reqwest::Url;
use rustls::pki_types::ServerName;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A proxy says no more than this before a tunnel is open.
const MAX_TUNNEL_HEAD: usize = 8192;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection to a server, with TLS and through a proxy where that is needed.
pub(super) struct Dialled(Box<dyn Stream>);

impl Dialled {
    /// Connects to where `url` leads.
    pub(super) async fn connect(
        shared: &Shared,
        url: &Url,
        proxy: Option<&ChosenProxy>,
    ) -> Result<Self, Failure> {
        let limit = shared.timeouts.connect;
        let connecting = connect(shared, url, proxy);
        tokio::time::timeout(limit, connecting)
            .await
            .map_err(|_| Failure::slow_connection(url, limit))?
    }

    pub(super) fn into_io(self) -> impl hyper::rt::Read + hyper::rt::Write + Send + Unpin {
        TokioIo::new(self.0)
    }
}

async fn connect(
    shared: &Shared,
    url: &Url,
    proxy: Option<&ChosenProxy>,
) -> Result<Dialled, Failure> {
    let name = proxy.map(|proxy| proxy.name.as_str());
    let failed = |error: io::Error| failures::connecting(&error, url, name);
    let (host, port) = match proxy {
        Some(proxy) => (proxy.host.as_str(), proxy.port),
        None => address(url),
    };
    let mut stream: Box<dyn Stream> = Box::new(tcp(shared, host, port).await.map_err(failed)?);
    if proxy.is_some_and(|proxy| proxy.tls) {
        stream = tls(shared, host, stream).await?.map_err(failed)?;
    }
    if url.scheme() == "https" {
        if let Some(proxy) = proxy {
            open_tunnel(&mut stream, url, proxy).await?;
        }
        // From here on it is the server that fails, not the proxy.
        let failed = |error: io::Error| failures::connecting(&error, url, None);
        stream = tls(shared, address(url).0, stream).await?.map_err(failed)?;
    }
    Ok(Dialled(stream))
}

fn address(url: &Url) -> (&str, u16) {
    let host = url.host_str().unwrap_or_default();
    (bare(host), url.port_or_known_default().unwrap_or(80))
}

/// An address of IPv6 without the brackets that it has in a URL.
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

async fn tcp(shared: &Shared, host: &str, port: u16) -> io::Result<Forgiving> {
    let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
    // One address that does not answer leaves time for the others.
    let each = shared.timeouts.connect / u32::try_from(addresses.len().max(1)).unwrap_or(1);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match tokio::time::timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(Forgiving { stream, broken: false });
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

async fn tls(
    shared: &Shared,
    host: &str,
    stream: Box<dyn Stream>,
) -> Result<io::Result<Box<dyn Stream>>, Failure> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        Failure::lasting(HttpErrorKind::Url, format!("{host} is not a valid host name"))
    })?;
    let connector = TlsConnector::from(shared.tls()?);
    let connected = connector.connect(name, stream).await;
    Ok(connected.map(|stream| Box::new(stream) as Box<dyn Stream>))
}

async fn open_tunnel(
    stream: &mut Box<dyn Stream>,
    url: &Url,
    proxy: &ChosenProxy,
) -> Result<(), Failure> {
    let place = place(url);
    let mut head = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        head.extend_from_slice(b"Proxy-Authorization: ");
        head.extend_from_slice(authorization.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let failed = |error: io::Error| failures::connecting(&error, url, Some(&proxy.name));
    stream.write_all(&head).await.map_err(failed)?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the head belongs to somebody else.
    while !answer.ends_with(b"\r\n\r\n") && answer.len() < MAX_TUNNEL_HEAD {
        answer.push(stream.read_u8().await.map_err(failed)?);
    }
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    match line.get(..12) {
        Some(b"HTTP/1.1 200" | b"HTTP/1.0 200") => Ok(()),
        Some(b"HTTP/1.1 407" | b"HTTP/1.0 407") => Err(failures::wants_password(&proxy.name)),
        _ => Err(failures::refused_tunnel(&proxy.name, &place)),
    }
}

/// A socket whose writes are lost, but do not fail, once the other side has closed it: what it
/// said before is then still read, and after that the end.
struct Forgiving {
    stream: TcpStream,
    broken: bool,
}

impl Forgiving {
    /// Takes `lost` bytes for written where the connection is closed.
    fn forgive(&mut self, lost: usize, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Err(error)) if failures::is_break(&error) => {
                self.broken = true;
                Poll::Ready(Ok(lost))
            }
            result => result,
        }
    }
}

impl AsyncRead for Forgiving {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Forgiving {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.broken {
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.forgive(bytes.len(), result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        if self.broken {
            return Poll::Ready(Ok(length));
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.forgive(length, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.broken {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
