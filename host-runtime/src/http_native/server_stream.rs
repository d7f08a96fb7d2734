//! A connection to a server that can still be read after it can no longer be written.
//!
//! A server that has seen enough of a request (too large, disk full, token expired) responds and
//! closes the connection while the body is still being sent. If the failed write were reported,
//! hyper would give up the connection and lose the response.

use super::hyper_errors::is_break;
use hyper_util::client::legacy::connect::{Connected, Connection};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// A connection whose writes are discarded, but do not fail, once the server has closed it. What
/// the server sent before can then still be read, and after that the end.
pub(super) struct ServerStream {
    stream: Box<dyn ByteStream>,
    closed: bool,
    /// Whether requests in plain HTTP go to a proxy.
    pub(super) is_proxied: bool,
}

impl ServerStream {
    pub(super) fn new(stream: impl ByteStream + 'static) -> Self {
        ServerStream { stream: Box::new(stream), closed: false, is_proxied: false }
    }

    /// Runs a write, unless the server has closed the connection; `discarded` is the result then.
    fn write<T>(
        &mut self,
        discarded: T,
        write: impl FnOnce(Pin<&mut dyn ByteStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.closed {
            return Poll::Ready(Ok(discarded));
        }
        let result = ready!(write(Pin::new(&mut *self.stream)));
        self.closed = result.as_ref().is_err_and(is_break);
        Poll::Ready(if self.closed { Ok(discarded) } else { result })
    }
}

impl Connection for ServerStream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.is_proxied)
    }
}

impl AsyncRead for ServerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(bytes.len(), |stream| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        self.write(length, |stream| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write((), |stream| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write((), |stream| stream.poll_shutdown(context))
    }
}
