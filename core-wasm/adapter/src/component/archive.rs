//! Archives in both directions.

use super::Adapter;
use super::objects::HeldSource;
use super::wit::archive;
use btdt_host_runtime::archive::{StreamFault, TarArchive, TarPlan};
use btdt_ports::{
    ArchiveBatch, ArchiveEntry, ArchiveFault, ArchivePlan, ArchiveReader, CutSizes, PackedChunk,
};
use std::cell::RefCell;

impl archive::Guest for Adapter {
    type ArchiveReader = IncomingArchive;
    type ArchivePlan = OutgoingArchive;
}

/// An archive on its way in.
pub(super) struct IncomingArchive(RefCell<TarArchive>);

impl IncomingArchive {
    pub(super) fn new(archive: TarArchive) -> Self {
        IncomingArchive(RefCell::new(archive))
    }
}

impl archive::GuestArchiveReader for IncomingArchive {
    fn next(&self) -> Result<Option<ArchiveEntry>, ArchiveFault> {
        self.0.borrow_mut().next()
    }

    fn append(&self) -> Result<(), ArchiveFault> {
        self.0.borrow_mut().append()
    }

    fn seal(&self) -> Result<(), ArchiveFault> {
        self.0.borrow_mut().seal()
    }

    fn cut(&self, length: u64, sizes: CutSizes) -> Result<(), ArchiveFault> {
        self.0.borrow_mut().cut(length, sizes)
    }

    fn finish(this: archive::ArchiveReader) -> Result<Vec<Vec<PackedChunk>>, ArchiveFault> {
        this.into_inner::<IncomingArchive>().0.into_inner().finish()
    }
}

/// An archive that is put together.
pub(super) struct OutgoingArchive(RefCell<TarPlan>);

impl OutgoingArchive {
    /// How many bytes it has, as a server sends it.
    pub(super) fn served_length(&self) -> Result<u64, StreamFault> {
        let mut plan = self.0.borrow_mut();
        plan.leave_out_root();
        plan.content_length()
    }

    pub(super) fn into_plan(self) -> TarPlan {
        self.0.into_inner()
    }
}

impl archive::GuestArchivePlan for OutgoingArchive {
    fn new(source: archive::SourceBorrow<'_>) -> Self {
        let source = source.get::<HeldSource>().0.clone();
        OutgoingArchive(RefCell::new(TarPlan::new(source)))
    }

    fn submit(&self, batch: ArchiveBatch) {
        self.0.borrow_mut().submit(batch);
    }
}
