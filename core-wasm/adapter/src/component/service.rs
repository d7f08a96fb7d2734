//! The bodies of requests and answers, between the streams of the runtime and the caches.

use super::archive::{IncomingArchive, OutgoingArchive};
use super::objects::{ObjectsOfCache, OpenedObject};
use super::own::service;
use super::places::{path_of, storage};
use super::streams::{StreamReader, StreamWriter};
use super::wit::{archive, objects};
use super::{Adapter, server};
use btdt_host_runtime::archive::{StreamFault, TarArchive, WriteFault, write_compressed};
use btdt_host_runtime::chunk_io::{StoredForms, StoredPutError};
use btdt_host_runtime::codec::Codec;
use btdt_host_runtime::codec::max_stored_size;
use btdt_host_runtime::content_coding::{CodingFault, decompress};
use btdt_host_runtime::tree::filesystem::create_directories;
use btdt_ports::{
    ArchiveFault, Damage, Digest, IoErrorKind, ObjectFault, ObjectKind, Objects, PutOutcome,
    StoredCodec,
};
use service::{OpenFault, TransferFault};
use std::io::{Read, Write};
use wasip2::io::streams::{InputStream, OutputStream};

/// Bytes of a stored object that are read at once.
const BLOCK: u64 = 512 << 10;

impl service::Guest for Adapter {
    fn add_cache(name: String, path: Vec<u8>) -> Result<(), OpenFault> {
        let storage = match storage(path.clone()) {
            Err(OpenFault::Io(error)) if error.kind == IoErrorKind::NotFound => {
                create_directories(&path_of(path.clone())).map_err(OpenFault::Io)?;
                storage(path)?
            }
            storage => storage?,
        };
        server::add_cache(name, storage);
        Ok(())
    }

    fn trust(keys: service::Keys) -> Result<(), service::KeyFault> {
        server::trust(keys)
    }

    fn receive_bytes(
        body: InputStream,
        coding: StoredCodec,
        limit: u64,
    ) -> Result<Vec<u8>, TransferFault> {
        let received = receive(body, limit)?;
        decompress(received, coding, limit).map_err(|fault| match fault {
            CodingFault::Invalid => TransferFault::Malformed,
            CodingFault::TooLarge => TransferFault::TooLarge,
        })
    }

    fn receive_chunk(
        body: InputStream,
        objects: objects::ObjectStoreBorrow<'_>,
        digest: Digest,
        limit: u64,
    ) -> Result<PutOutcome, TransferFault> {
        let stored = receive(body, max_stored_size(limit))?;
        let objects = &objects.get::<ObjectsOfCache>().0;
        let kept =
            objects.put_stored(ObjectKind::Chunk, &digest, &stored, limit, &mut Codec::new());
        kept.map_err(|error| match error {
            StoredPutError::Fault(ObjectFault::TooLarge) => TransferFault::TooLarge,
            StoredPutError::Fault(fault) => TransferFault::Object(fault),
            StoredPutError::Io(error) if error.kind == IoErrorKind::TooLarge => {
                TransferFault::TooLarge
            }
            StoredPutError::Io(error) => TransferFault::Storage(error),
        })
    }

    fn receive_archive(
        body: InputStream,
        coding: StoredCodec,
        objects: objects::ObjectStoreBorrow<'_>,
        limit: u64,
    ) -> Result<archive::ArchiveReader, ArchiveFault> {
        let sink = objects.get::<ObjectsOfCache>().0.sink();
        let reader = Box::new(StreamReader::new(body));
        let archive = TarArchive::new(reader, coding, sink, limit)?;
        Ok(archive::ArchiveReader::new(IncomingArchive::new(archive)))
    }

    fn send_stored(
        object: objects::Opened,
        offset: u64,
        length: u64,
        to: OutputStream,
    ) -> Result<(), TransferFault> {
        let object = object.into_inner::<OpenedObject>().0;
        let mut to = StreamWriter::new(to);
        let mut block = vec![0; usize::try_from(length.min(BLOCK)).unwrap_or(0)];
        let mut sent = 0;
        while sent < length {
            let wanted = usize::try_from((length - sent).min(BLOCK)).unwrap_or(0);
            let read = object.read_at(&mut block[..wanted], offset + sent);
            let read =
                read.map_err(|error| TransferFault::Object(ObjectFault::Unreadable(error)))?;
            if read == 0 {
                // It was longer when it was opened.
                return Err(TransferFault::Object(ObjectFault::Damaged(Damage::Length)));
            }
            to.write_all(&block[..read]).map_err(|_| TransferFault::Interrupted)?;
            sent += read as u64;
        }
        to.flush().map_err(|_| TransferFault::Interrupted)
    }

    fn archive_length(plan: archive::ArchivePlanBorrow<'_>) -> Result<u64, TransferFault> {
        let length = plan.get::<OutgoingArchive>().served_length();
        length.map_err(|fault| unreadable(&fault))
    }

    fn send_archive(
        plan: archive::ArchivePlan,
        coding: StoredCodec,
        to: OutputStream,
    ) -> Result<(), TransferFault> {
        // The root's mode and time are not for the directory that somebody unpacks it in.
        let plan = plan.into_inner::<OutgoingArchive>().into_plan().without_root();
        let mut to = StreamWriter::new(to);
        let mut reader = plan.into_reader().map_err(|fault| unreadable(&fault))?;
        write_compressed(&mut reader, coding, &mut to).map_err(|fault| match fault {
            WriteFault::Stream(fault) => unreadable(&fault),
            WriteFault::Output(_) => TransferFault::Interrupted,
        })?;
        to.flush().map_err(|_| TransferFault::Interrupted)
    }
}

/// A body of at most `limit` bytes, as it comes.
fn receive(body: InputStream, limit: u64) -> Result<Vec<u8>, TransferFault> {
    let mut received = Vec::new();
    let mut reader = StreamReader::new(body).take(limit.saturating_add(1));
    reader.read_to_end(&mut received).map_err(|_| TransferFault::Interrupted)?;
    if received.len() as u64 > limit { Err(TransferFault::TooLarge) } else { Ok(received) }
}

fn unreadable(fault: &StreamFault) -> TransferFault {
    match fault {
        StreamFault::Plan => TransferFault::Malformed,
        StreamFault::Chunk { digest, fault } => {
            TransferFault::Chunk(service::DamagedChunk { digest: *digest, fault: *fault })
        }
    }
}
