//! What the server's host asks of the core.

use super::bindings::exports::btdt::cache::server as wit;
use super::imports::{HostAuthority, HostCaches, HostEnvironment, HostObjects};
use super::remote::{HostArchives, HostPlan, HostReader};
use super::{Core, report_panics};
use crate::http_api::answer::{Encoding, Lookup};
use crate::http_api::request::Settings;
use crate::http_api::{Answer, Body, Page, Request, Response, ServerContext, UploadFault};
use btdt_ports::PutOutcome;

type HostContext = ServerContext<'static, HostCaches, HostAuthority, HostArchives>;

fn context(settings: wit::Settings) -> HostContext {
    ServerContext {
        caches: &HostCaches,
        authority: &HostAuthority,
        archives: &HostArchives,
        environment: &HostEnvironment,
        settings: Settings {
            api_docs: settings.api_docs,
            metrics: settings.metrics,
            max_manifest: settings.max_manifest,
        },
    }
}

impl wit::Guest for Core {
    fn handle(request: wit::Request, settings: wit::Settings) -> wit::Answer {
        report_panics();
        match context(settings).handle(&request.into()) {
            Answer::Respond(response) => wit::Answer::Respond(response.into()),
            Answer::ReceiveBytes { limit, encoding } => {
                wit::Answer::ReceiveBytes(wit::BytesUpload { limit, encoding: encoding.into() })
            }
            Answer::ReceiveChunk { objects: HostObjects(objects), digest, limit } => {
                let digest = digest.into();
                wit::Answer::ReceiveChunk(wit::ChunkUpload { objects, digest, limit })
            }
            Answer::ReceiveArchive { objects: HostObjects(objects), encoding } => {
                let encoding = encoding.into();
                wit::Answer::ReceiveArchive(wit::ArchiveUpload { objects, encoding })
            }
        }
    }

    fn with_bytes(request: wit::Request, settings: wit::Settings, body: Vec<u8>) -> wit::Response {
        report_panics();
        context(settings).with_bytes(&request.into(), &body).into()
    }

    fn with_chunk(
        request: wit::Request,
        settings: wit::Settings,
        outcome: Result<wit::PutOutcome, wit::UploadFault>,
    ) -> wit::Response {
        report_panics();
        let outcome: Result<PutOutcome, UploadFault> = outcome.map(Into::into).map_err(Into::into);
        context(settings).with_chunk(&request.into(), outcome).into()
    }

    fn with_archive(
        request: wit::Request,
        settings: wit::Settings,
        archive: wit::ArchiveReader,
    ) -> wit::Response {
        report_panics();
        context(settings).with_archive(&request.into(), HostReader(archive)).into()
    }
}

btdt_ports::mirror_enum!(wit::Encoding, Encoding, [Identity, Gzip, Zstd]);
btdt_ports::mirror_enum!(wit::Page, Page, [Docs, OpenApi, Metrics, Readiness]);
btdt_ports::mirror_enum!(wit::Lookup, Lookup, [Hit, Miss]);
btdt_ports::mirror_variant!(wit::UploadFault, UploadFault, [TooLarge, Interrupted], {
    Damaged: one, Storage: one,
});

impl From<wit::Request> for Request {
    fn from(request: wit::Request) -> Self {
        let wit::Request { method, path, query, headers } = request;
        Request { method, path, query, headers }
    }
}

impl From<Response<wit::Opened, HostPlan>> for wit::Response {
    fn from(response: Response<wit::Opened, HostPlan>) -> Self {
        wit::Response {
            status: response.status,
            headers: response.headers,
            body: match response.body {
                Body::Empty => wit::Body::Empty,
                Body::Bytes(bytes) => wit::Body::Bytes(bytes),
                Body::Stored { object, offset, length } => {
                    wit::Body::Stored(wit::StoredPart { object, offset, length })
                }
                Body::Archive { plan: HostPlan(plan), encoding } => {
                    wit::Body::Archive(wit::ArchiveBody { plan, encoding: encoding.into() })
                }
                Body::Page(page) => wit::Body::Page(page.into()),
            },
            route: response.route.to_owned(),
            cache: response.cache,
            lookup: response.lookup.map(Into::into),
        }
    }
}
