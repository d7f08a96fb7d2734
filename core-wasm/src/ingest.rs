//! placeholder
use crate::manifest::Manifest;
use crate::packing::Totals;
use btdt_ports::{ArchiveFault, ArchiveReader, Environment};
/// placeholder
pub fn ingest<R: ArchiveReader>(
    _reader: R,
    _environment: &dyn Environment,
) -> Result<(Manifest, Totals), ArchiveFault> {
    Err(ArchiveFault::Malformed)
}
