//! Archives in both directions.

use super::objects::HeldSource;
use super::wit::archive;
use super::{Adapter, all};
use btdt_host_runtime::archive::{StreamFault, TarArchive, TarPlan};
use btdt_ports::{ArchivePlan, ArchiveReader};
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
    fn next(&self) -> Result<Option<archive::ArchiveEntry>, archive::ArchiveFault> {
        Ok(self.0.borrow_mut().next()?.map(Into::into))
    }

    fn append(&self) -> Result<(), archive::ArchiveFault> {
        Ok(self.0.borrow_mut().append()?)
    }

    fn seal(&self) -> Result<(), archive::ArchiveFault> {
        Ok(self.0.borrow_mut().seal()?)
    }

    fn cut(&self, length: u64, sizes: archive::CutSizes) -> Result<(), archive::ArchiveFault> {
        Ok(self.0.borrow_mut().cut(length, sizes.into())?)
    }

    fn finish(
        this: archive::ArchiveReader,
    ) -> Result<Vec<Vec<archive::PackedChunk>>, archive::ArchiveFault> {
        let groups = this.into_inner::<IncomingArchive>().0.into_inner().finish()?;
        Ok(groups.into_iter().map(all).collect())
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

    fn submit(&self, batch: archive::ArchiveBatch) {
        self.0.borrow_mut().submit(batch.into());
    }
}
