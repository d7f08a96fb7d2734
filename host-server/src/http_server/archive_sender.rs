//! Puts an archive together on a thread of its own, as fast as the peer reads it.

use super::faults::SendFault;
use crate::admission::{CHECK_INTERVAL, Permit};
use crate::service::{Service, Unanswered};
use btdt_host_runtime::archive::{StreamFault, TarPlan, TarReader, WriteFault, write_compressed};
use btdt_host_runtime::clock;
use btdt_host_runtime::engine::Share;
use btdt_host_runtime::engine::server::Encoding;
use btdt_ports::Digest;
use bytes::Bytes;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Blocks of an archive that wait for the connection.
const QUEUED_BLOCKS: usize = 1;

/// An archive to be sent.
pub(super) struct OutgoingArchive {
    pub(super) plan: TarPlan,
    pub(super) encoding: Encoding,
    /// The name of the cache that it comes from.
    pub(super) cache: String,
    /// What is returned when it has been put together.
    pub(super) held: (Permit, Share),
}

/// The blocks of an archive.
pub(super) struct Blocks {
    from: mpsc::Receiver<Bytes>,
    /// How it ended. If this says nothing, the thread has panicked.
    end: Arc<OnceLock<Result<(), SendFault>>>,
}

impl Blocks {
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, SendFault>>> {
        let block = ready!(self.from.poll_recv(context));
        Poll::Ready(match block {
            Some(block) => Some(Ok(block)),
            // Without a length, the peer could not tell a part from the whole.
            None => self.end.get().copied().unwrap_or(Err(SendFault::Stopped)).err().map(Err),
        })
    }
}

/// Starts to send an archive. A chunk that cannot be used is reported to the core.
pub(super) fn start(service: Arc<Service>, archive: OutgoingArchive) -> Blocks {
    let (to, from) = mpsc::channel(QUEUED_BLOCKS);
    let end = Arc::new(OnceLock::new());
    let ended = Arc::clone(&end);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let OutgoingArchive { plan, encoding, cache, held } = archive;
        let mut sender = ArchiveSender {
            to: to.clone(),
            service: Arc::clone(&service),
            runtime: runtime.clone(),
            began: clock::instant(),
            sent: 0,
        };
        let reader = plan.into_reader().map_err(SendFault::from);
        let written = reader.and_then(|reader| sender.run(reader, encoding));
        drop(held);
        if let Err(SendFault::Archive(StreamFault::Chunk { digest, .. })) = &written {
            report_damage(&service, &runtime, cache, *digest);
        }
        // It is set only here, and known before the end of the channel is.
        let _ = ended.set(written);
        drop(to);
    });
    Blocks { from, end }
}

/// Has the core look at a chunk that could not be used and take it away if it is damaged, so that
/// the next request for the entry finds out before it is answered. Blocks.
fn report_damage(service: &Arc<Service>, runtime: &Handle, cache: String, digest: Digest) {
    let reported: Result<(), Unanswered> = runtime.block_on(async {
        let permit = service.admission.claims().decision().await?;
        let report = move |service: &Service, _permit: Permit| {
            service.call(|session| session.report_damage(&cache, digest))
        };
        service.run(permit, report).await
    });
    if let Err(error) = reported {
        tracing::error!(?error, chunk = digest.to_hex(), "A damaged chunk is still there");
    }
}

/// Passes blocks on to the connection.
struct ArchiveSender {
    to: mpsc::Sender<Bytes>,
    service: Arc<Service>,
    runtime: Handle,
    began: Instant,
    /// In bytes.
    sent: u64,
}

impl ArchiveSender {
    fn run(&mut self, mut reader: TarReader, encoding: Encoding) -> Result<(), SendFault> {
        if encoding != Encoding::Identity {
            return write_compressed(&mut reader, encoding.into(), self).map_err(
                |fault| match fault {
                    WriteFault::Stream(fault) => fault.into(),
                    WriteFault::Output(_) => SendFault::Stopped,
                },
            );
        }
        loop {
            let mut block = Vec::new();
            let more = reader.next_block(&mut block)?;
            if !block.is_empty() {
                self.pass(block.into())?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Passes a block on once there is room for it. Blocks.
    fn pass(&mut self, block: Bytes) -> Result<(), SendFault> {
        self.sent += block.len() as u64;
        loop {
            // Made within the runtime, which has the timer.
            let waiting = async { tokio::time::timeout(CHECK_INTERVAL, self.to.reserve()).await };
            match self.runtime.block_on(waiting) {
                Ok(Ok(room)) => {
                    room.send(block);
                    return Ok(());
                }
                Ok(Err(_)) => return Err(SendFault::Stopped),
                Err(_) if self.service.admission.is_in_the_way(self.began, self.sent) => {
                    return Err(SendFault::TooSlow);
                }
                Err(_) => {}
            }
        }
    }
}

impl Write for ArchiveSender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pass(Bytes::copy_from_slice(bytes)).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
