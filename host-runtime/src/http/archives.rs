//! Where this module meets [`crate::archive`].

use crate::archive::{Compression, TarArchive, TarPlan};
use crate::chunk_io::Sink;
use btdt_ports::ArchiveFault;
use std::io::{self, Read};

/// Receives an archive, however large.
pub(super) fn reader(
    read: Box<dyn Read + Send>,
    compression: Compression,
    sink: &Sink,
) -> Result<TarArchive, ArchiveFault> {
    TarArchive::new(read, compression, Sink::clone(sink), u64::MAX)
}

/// The archive as a stream.
pub(super) fn stream(plan: TarPlan) -> impl Read + Send + 'static {
    match plan.into_reader() {
        Ok(reader) => Stream::Reader(Box::new(reader)),
        Err(fault) => Stream::Fault(Some(io::Error::other(fault))),
    }
}

enum Stream {
    Reader(Box<dyn Read + Send>),
    Fault(Option<io::Error>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Reader(reader) => reader.read(buffer),
            Stream::Fault(fault) => {
                Err(fault.take().unwrap_or_else(|| io::ErrorKind::Other.into()))
            }
        }
    }
}
