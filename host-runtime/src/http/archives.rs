//! Where this module meets `crate::archive`: the only place that names its types.
//!
//! PLACEHOLDER until that module is merged; see the report of the branch `http`.

use crate::transfer::{Sink, Source};
use btdt_ports::{
    ArchiveBatch, ArchiveEntry, ArchiveFault, ArchivePlan, ArchiveReader, CutSizes, PackedChunk,
};
use std::io::Read;

/// How an archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
    /// With zstd.
    Zstd,
}

/// An archive that is being received.
pub struct Reader(Box<dyn Read + Send>);

/// Receives an archive.
pub(super) fn reader(read: Box<dyn Read + Send>, _: Compression, _: &Sink) -> Reader {
    Reader(read)
}

impl ArchiveReader for Reader {
    fn next(&mut self) -> Result<Option<ArchiveEntry>, ArchiveFault> {
        let _ = &self.0;
        Err(ArchiveFault::Malformed)
    }

    fn append(&mut self) -> Result<(), ArchiveFault> {
        Err(ArchiveFault::Malformed)
    }

    fn seal(&mut self) -> Result<(), ArchiveFault> {
        Err(ArchiveFault::Malformed)
    }

    fn cut(&mut self, _: u64, _: CutSizes) -> Result<(), ArchiveFault> {
        Err(ArchiveFault::Malformed)
    }

    fn finish(self) -> Result<Vec<Vec<PackedChunk>>, ArchiveFault> {
        Err(ArchiveFault::Malformed)
    }
}

/// An archive that is to be sent.
pub struct Plan(#[expect(dead_code, reason = "a placeholder")] Source);

/// An empty plan for an archive with the contents of `source`.
pub(super) fn plan(source: &Source) -> Plan {
    Plan(Source::clone(source))
}

/// The archive as a stream.
pub(super) fn stream(_: Plan) -> impl Read + Send + 'static {
    std::io::empty()
}

impl ArchivePlan for Plan {
    fn submit(&mut self, _: ArchiveBatch) {}
}
