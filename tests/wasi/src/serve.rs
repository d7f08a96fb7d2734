//! `wasi-serve COMPONENT [--dir HOST::GUEST | --env NAME=VALUE]...`: a plain `wasi:http` host for a
//! server component.
//!
//! It is what any embedder would write with wasmtime's own WASI, and no capability of btdt is
//! behind it. Each request gets an instance of its own, as under `wasmtime serve`. The component
//! sees the directories and the variables of the arguments and nothing else; its standard error is
//! that of this process. It listens on a port of the system's choice on the loopback interface,
//! says so on standard output, and ends when its standard input does, so that it never outlives the
//! test that started it.
//!
//! A file that ends in `.cwasm` is taken for a component that was compiled before, and is trusted.

mod plain_host;

use hyper::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use plain_host::{Instance, load};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use wasmtime::component::Linker;
use wasmtime::error::Context as _;
use wasmtime::{Engine, Result, Store, bail};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:?}"));
            ExitCode::FAILURE
        }
    }
}

/// With standard error closed there is nobody to tell.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "wasi-serve: {text}");
}

/// What the component may see.
#[derive(Default)]
struct Surroundings {
    directories: Vec<(String, String)>,
    variables: Vec<(String, String)>,
}

impl Surroundings {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Self> {
        let mut surroundings = Surroundings::default();
        while let Some(option) = arguments.next() {
            let value = arguments.next().and_then(|value| value.into_string().ok());
            let pair = |separator| {
                let value = value.as_deref().unwrap_or_default();
                let (one, other) = value.split_once(separator).context("a value is malformed")?;
                Ok::<_, wasmtime::Error>((one.to_owned(), other.to_owned()))
            };
            match option.to_str() {
                Some("--dir") => surroundings.directories.push(pair("::")?),
                Some("--env") => surroundings.variables.push(pair("=")?),
                _ => bail!("unknown option {}", option.display()),
            }
        }
        Ok(surroundings)
    }

    fn context(&self) -> Result<WasiCtx> {
        let mut builder = WasiCtxBuilder::new();
        builder.inherit_stderr();
        for (host, guest) in &self.directories {
            builder
                .preopened_dir(host, guest, FsPerms::ReadWrite)
                .with_context(|| format!("could not open {host}"))?;
        }
        for (name, value) in &self.variables {
            builder.env(name, value);
        }
        Ok(builder.build())
    }
}

/// The component, ready to be instantiated.
struct Server {
    component: ProxyPre<Instance>,
    surroundings: Surroundings,
}

fn run(arguments: Vec<OsString>) -> Result<()> {
    let mut arguments = arguments.into_iter();
    let Some(path) = arguments.next() else {
        bail!("usage: wasi-serve <component> [--dir HOST::GUEST | --env NAME=VALUE]...");
    };
    let surroundings = Surroundings::parse(arguments)?;
    let engine = Engine::default();
    let component = load(&engine, Path::new(&path))?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    let component = linker
        .instantiate_pre(&component)
        .and_then(ProxyPre::new)
        .context("the component needs something that plain WASI does not have")?;
    let server = Arc::new(Server { component, surroundings });
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(server))
}

async fn serve(server: Arc<Server>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("could not listen")?;
    let address = listener.local_addr()?;
    writeln!(std::io::stdout(), "Listening url=\"http://{address}\"")?;
    loop {
        let (client, _) = listener.accept().await.context("could not accept a connection")?;
        tokio::spawn(converse(Arc::clone(&server), client));
    }
}

/// Answers the requests of a connection.
async fn converse(server: Arc<Server>, client: TcpStream) {
    let answer = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move {
            // Without an answer the connection is cut, as it is by any host of this kind.
            server.answer(request).await.inspect_err(|error| complain(&format!("{error:?}")))
        }
    });
    // Clients may go at any time.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(client), answer).await;
}

impl Server {
    async fn answer(
        &self,
        request: hyper::Request<Incoming>,
    ) -> Result<Response<HyperOutgoingBody>> {
        let instance = Instance::new(self.surroundings.context()?);
        let mut store = Store::new(self.component.engine(), instance);
        let (sender, receiver) = oneshot::channel();
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let out = store.data_mut().http().new_response_outparam(sender)?;
        let component = self.component.clone();
        // It goes on after the head of the response is there.
        let task = tokio::spawn(async move {
            let proxy = component.instantiate_async(&mut store).await?;
            proxy.wasi_http_incoming_handler().call_handle(&mut store, request, out).await
        });
        match receiver.await {
            Ok(response) => {
                tokio::spawn(async move {
                    if let Ok(Err(trap)) = task.await {
                        complain(&format!("the component trapped: {trap:?}"));
                    }
                });
                Ok(response?)
            }
            Err(_) => match task.await {
                Ok(Ok(())) => bail!("the component did not answer"),
                Ok(Err(trap)) => Err(trap.context("the component trapped")),
                Err(panic) => bail!("the host panicked: {panic}"),
            },
        }
    }
}
