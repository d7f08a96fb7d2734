//! `PUT` of an entry, as a manifest whose chunks are already in the cache, or as an archive.

use super::access::{self, Findings};
use super::answer::{Answer, Body, Response};
use super::context::{Decision, ResponseTo, ServerContext};
use super::negotiation::{self, BodyType};
use super::problem::Problem;
use super::request::Request;
use super::url::Parameters;
use crate::archive::import::{self, ImportFault};
use crate::digest::sha256;
use crate::manifest::{self, Manifest};
use crate::protocol;
use crate::storage::commit::{self, Committed, NewEntry};
use btdt_ports::client::Error;
use btdt_ports::{
    ArchiveFault, ArchiveReader, Archives, Authority, Caches, Digest, LockMode, ObjectKind,
    Objects, OpenObjects, Operation,
};

/// Longest recorded name of a tool in bytes.
const MAX_TOOL: usize = 128;

impl<C, A, P> ServerContext<'_, C, A, P>
where
    C: Caches,
    A: Authority,
    P: Archives<Source = <C::Objects as Objects>::Source>,
{
    /// Decides whether and how to receive an entry.
    pub(super) fn begin_upload(&self, request: &Request, cache: &str) -> Decision<C, P::Plan> {
        let token = access::token(request)?;
        let parameters = entry_parameters(request)?;
        let accesses = access::accesses(Operation::Put, cache, &parameters.keys);
        Findings::of(&self.verdicts(token, &accesses)?).all()?;
        let (objects, _) = self.caches.find(cache).ok_or_else(Problem::no_cache)?;
        match negotiation::body_type(request)? {
            BodyType::Archive(encoding) => Ok(Answer::ReceiveArchive { objects, encoding }),
            BodyType::Manifest => {
                let limit = self.settings.max_manifest.min(manifest::MAX_ENCODED);
                negotiation::require_length(request, limit)?;
                let encoding = negotiation::body_encoding(request)?;
                Ok(Answer::ReceiveBytes { limit, encoding })
            }
        }
    }

    pub(super) fn put_manifest(
        &self,
        request: &Request,
        body: &[u8],
        cache: &str,
    ) -> Result<ResponseTo<C, P>, Problem> {
        let parameters = entry_parameters(request)?;
        let (objects, records) = self.caches.find(cache).ok_or_else(Problem::no_cache)?;
        if let Some(expected) = request.header(protocol::MANIFEST_DIGEST)
            && Digest::from_hex(expected) != Some(sha256(body))
        {
            return Err(Problem::new(422, "The manifest was altered on its way."));
        }
        let manifest = manifest::decode(body)
            .map_err(|fault| Problem::new(422, format!("The manifest is not valid: {fault}.")))?;
        let stored_size = self.stored_size(&objects, &manifest)?;
        let _in_use = objects.lock(LockMode::Shared);
        match self.commit(request, &parameters, &manifest, stored_size, &objects, &records) {
            Ok(Committed::Done(_)) => Ok(Response::new(204, Body::Empty)),
            Ok(Committed::Missing(digests)) => Err(Problem::missing(digests)),
            Err(error) => Err(self.failed(cache, &error)),
        }
    }

    pub(super) fn put_archive<R: ArchiveReader>(
        &self,
        request: &Request,
        reader: R,
        cache: &str,
    ) -> Result<ResponseTo<C, P>, Problem> {
        let parameters = entry_parameters(request)?;
        let (objects, records) = self.caches.find(cache).ok_or_else(Problem::no_cache)?;
        let _in_use = objects.lock(LockMode::Shared);
        let limit = self.settings.max_manifest.min(manifest::MAX_ENCODED);
        let received = import::import(reader, limit, self.environment);
        let (manifest, totals) = received.map_err(|fault| self.not_received(cache, fault))?;
        let stored_size = totals.stored_size;
        match self.commit(request, &parameters, &manifest, stored_size, &objects, &records) {
            Ok(Committed::Done(_)) => Ok(Response::new(204, Body::Empty)),
            Ok(Committed::Missing(_)) => {
                // They were collected, which happens only if an upload takes hours or someone
                // tampers with the cache. Only the client still has the content.
                let detail = "A part of the entry was lost while the rest arrived. Send it again.";
                Err(Problem::new(503, detail).with_header("retry-after", "1"))
            }
            Err(error) => Err(self.failed(cache, &error)),
        }
    }

    fn commit(
        &self,
        request: &Request,
        parameters: &Parameters,
        manifest: &Manifest,
        stored_size: u64,
        objects: &C::Objects,
        records: &C::Records,
    ) -> Result<Committed, Error> {
        let entry = NewEntry {
            keys: &parameters.keys,
            manifest,
            stored_size,
            tool: tool(request),
            labels: &parameters.labels,
        };
        commit::commit(&entry, objects, records, self.environment)
    }

    /// The stored size of a manifest's chunks in bytes, without missing ones.
    ///
    /// # Errors
    /// 422 if a chunk's size differs from the manifest: such an entry could never be read.
    fn stored_size(&self, objects: &C::Objects, manifest: &Manifest) -> Result<u64, Problem> {
        let mut sum: u64 = 0;
        for chunk in manifest.chunks() {
            let info = match objects.open(ObjectKind::Chunk, &chunk.digest) {
                Ok((_, info)) => info,
                // The commit checks what is missing.
                Err(_) => continue,
            };
            if info.raw_size != u64::from(chunk.raw_size) {
                let detail = format!(
                    "The manifest is not valid: chunk {} has {} bytes, not {}.",
                    chunk.digest, info.raw_size, chunk.raw_size
                );
                return Err(Problem::new(422, detail));
            }
            sum = sum.saturating_add(info.size);
        }
        Ok(sum)
    }

    fn not_received(&self, cache: &str, fault: ImportFault) -> Problem {
        let invalid = |fault: &dyn std::fmt::Display| {
            Problem::new(422, format!("The archive cannot be stored: {fault}."))
        };
        match &fault {
            ImportFault::Archive(archive) => match archive {
                ArchiveFault::Sink(error) => self.failed(cache, &Error::writing(*error)),
                ArchiveFault::TooLarge => Problem::new(413, "The archive is larger than allowed."),
                ArchiveFault::Truncated | ArchiveFault::Malformed => invalid(archive),
                ArchiveFault::Interrupted(_) => {
                    Problem::bad_request("The archive did not arrive completely.")
                }
            },
            ImportFault::Entry { .. } => invalid(&fault),
            ImportFault::TooLarge => {
                Problem::new(413, "The archive has more entries than this server takes.")
            }
            ImportFault::Inconsistent(_) => self.internal(&fault),
        }
    }
}

/// The parameters of a `PUT` of an entry.
fn entry_parameters(request: &Request) -> Result<Parameters, Problem> {
    let parameters = Parameters::parse(request.query.as_deref())?;
    if parameters.keys.is_empty() {
        return Err(Problem::bad_request("The URL needs at least one parameter \"key\"."));
    }
    Ok(parameters)
}

/// The tool to record for an entry.
fn tool(request: &Request) -> &str {
    let named = request.header("btdt-tool").or_else(|| request.header("user-agent"));
    let tool = named.unwrap_or_default().trim();
    let valid = tool.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if valid { &tool[..tool.len().min(MAX_TOOL)] } else { "" }
}
