//! Streams of the runtime as readers and writers.

use std::io::{self, ErrorKind, Read, Write};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

/// No more is asked for at once, whatever a caller has room for: the runtime allocates it.
const MOST: usize = 1 << 20;

/// A body on its way in.
pub(super) struct StreamReader(InputStream);

impl StreamReader {
    pub(super) fn new(stream: InputStream) -> Self {
        StreamReader(stream)
    }
}

impl Read for StreamReader {
    /// A body that is cut off is an error, and never just the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let bytes = match self.0.blocking_read(buffer.len().min(MOST) as u64) {
                // It was woken for nothing.
                Ok(bytes) if bytes.is_empty() => continue,
                Ok(bytes) => bytes,
                Err(StreamError::Closed) => return Ok(0),
                Err(error) => return Err(broken(error)),
            };
            // A runtime that gives more than it was asked for would make us lose some of it.
            let target = buffer.get_mut(..bytes.len()).ok_or(ErrorKind::InvalidData)?;
            target.copy_from_slice(&bytes);
            return Ok(bytes.len());
        }
    }
}

/// A body on its way out.
pub(super) struct StreamWriter(OutputStream);

impl StreamWriter {
    pub(super) fn new(stream: OutputStream) -> Self {
        StreamWriter(stream)
    }
}

impl Write for StreamWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            // In as large pieces as the runtime takes: the functions that block take 4 KiB.
            let permitted = self.0.check_write().map_err(broken)?;
            if permitted == 0 {
                self.0.subscribe().block();
                continue;
            }
            let length = usize::try_from(permitted).unwrap_or(usize::MAX).min(bytes.len());
            self.0.write(&bytes[..length]).map_err(broken)?;
            return Ok(length);
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.blocking_flush().map_err(broken)
    }
}

fn broken(error: StreamError) -> io::Error {
    match error {
        StreamError::Closed => ErrorKind::BrokenPipe.into(),
        StreamError::LastOperationFailed(error) => {
            io::Error::new(ErrorKind::ConnectionAborted, error.to_debug_string())
        }
    }
}
