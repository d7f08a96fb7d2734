//! What the server's host asks of the core.

use super::bindings::Core;
use super::bindings::btdt::cache::archive::ArchivePlan;
use super::bindings::exports::btdt::cache::server as wit;
use super::capabilities::Host;
use super::panics::report_panics;
use crate::http_api::answer::{Encoding, Lookup};
use crate::http_api::request::Settings;
use crate::http_api::{self, Answer, Body, Page, Request, Response, ServerContext, UploadFault};

type HostContext = ServerContext<'static, Host, Host, Host>;

fn context(settings: wit::Settings) -> HostContext {
    ServerContext {
        caches: &Host,
        authority: &Host,
        archives: &Host,
        environment: &Host,
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
            Answer::ReceiveChunk { objects, digest, limit, created, existing } => {
                let (created, existing) = (created.into(), existing.into());
                let upload = wit::ChunkUpload { objects, digest, limit, created, existing };
                wit::Answer::ReceiveChunk(upload)
            }
            Answer::ReceiveArchive { objects, encoding } => {
                let encoding = encoding.into();
                wit::Answer::ReceiveArchive(wit::ArchiveUpload { objects, encoding })
            }
        }
    }

    fn with_bytes(request: wit::Request, settings: wit::Settings, body: Vec<u8>) -> wit::Response {
        report_panics();
        context(settings).with_bytes(&request.into(), &body).into()
    }

    fn refuse_chunk(
        request: wit::Request,
        settings: wit::Settings,
        fault: wit::UploadFault,
    ) -> wit::Response {
        report_panics();
        context(settings).refuse_chunk(&request.into(), fault.into()).into()
    }

    fn with_archive(
        request: wit::Request,
        settings: wit::Settings,
        archive: wit::ArchiveReader,
    ) -> wit::Response {
        report_panics();
        context(settings).with_archive(&request.into(), archive).into()
    }

    fn report_damage(cache: String, digest: wit::Digest) {
        report_panics();
        http_api::report_damage(&cache, digest, &Host, &Host);
    }
}

/// Converts enumerations of the core into those of the interface, case by case.
macro_rules! into_wit {
    ($($wit:path, $core:path, [$($case:ident),*];)*) => {$(
        const _: () = {
            use $wit as Wit;
            use $core as Core;
            impl From<Core> for Wit {
                fn from(value: Core) -> Self {
                    match value { $(Core::$case => Wit::$case),* }
                }
            }
        };
    )*};
}
into_wit!(
    wit::Encoding, Encoding, [Identity, Gzip, Zstd];
    wit::Page, Page, [Docs, OpenApi, Metrics, Readiness];
    wit::Lookup, Lookup, [Hit, Miss];
);

impl From<wit::UploadFault> for UploadFault {
    fn from(fault: wit::UploadFault) -> Self {
        match fault {
            wit::UploadFault::Damaged(fault) => UploadFault::Damaged(fault),
            wit::UploadFault::TooLarge => UploadFault::TooLarge,
            wit::UploadFault::Storage(error) => UploadFault::Storage(error),
        }
    }
}

impl From<wit::Request> for Request {
    fn from(request: wit::Request) -> Self {
        let wit::Request { method, path, query, headers } = request;
        Request { method, path, query, headers }
    }
}

impl From<Response<wit::Opened, ArchivePlan>> for wit::Response {
    fn from(response: Response<wit::Opened, ArchivePlan>) -> Self {
        wit::Response {
            status: response.status,
            headers: response.headers,
            body: match response.body {
                Body::Empty => wit::Body::Empty,
                Body::Bytes(bytes) => wit::Body::Bytes(bytes),
                Body::Stored { object, offset, length } => {
                    wit::Body::Stored(wit::StoredPart { object, offset, length })
                }
                Body::Archive { plan, encoding } => {
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
