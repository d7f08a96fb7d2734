//! The client against servers that do exactly what a test says.

mod answers;
mod bodies;
mod chunks;
mod proxies;
mod server;
mod tls;
mod uploads;

use super::options::{Options, Pause, Proxies, Timeouts, TokenSource};
use super::{HttpBody, HttpRemote};
use btdt_ports::{
    HttpError, HttpErrorKind, HttpRequest, HttpResponse, IncomingBody, Method, Remote, RetryPolicy,
    Scope,
};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The token of all tests, which must not be seen anywhere but in one header.
const TOKEN: &str = "tok-secret";

struct FixedToken;

impl TokenSource for FixedToken {
    fn bearer(&self, _: Option<&Scope>) -> Result<String, HttpError> {
        Ok(TOKEN.to_owned())
    }
}

/// Remembers how long it should have waited.
#[derive(Default)]
struct Pauses(Mutex<Vec<Duration>>);

impl Pause for Pauses {
    fn pause(&self, duration: Duration) {
        self.0.lock().unwrap().push(duration);
    }

    fn now(&self) -> Instant {
        crate::clock::instant() + self.0.lock().unwrap().iter().sum::<Duration>()
    }
}

impl Pauses {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Options with patience for a slow one.
fn options() -> Options {
    Options {
        token: Some(Arc::new(FixedToken)),
        pause: Some(Arc::new(Pauses::default())),
        timeouts: Timeouts {
            connect: Duration::from_secs(20),
            idle: Duration::from_secs(20),
            refusal: Duration::from_secs(20),
        },
        ..Options::default()
    }
}

fn remote() -> HttpRemote {
    HttpRemote::new(options()).unwrap()
}

/// A remote with little patience.
fn hasty() -> HttpRemote {
    let idle = Duration::from_millis(200);
    HttpRemote::new(Options { timeouts: Timeouts { idle, ..options().timeouts }, ..options() })
        .unwrap()
}

fn patient(pauses: &Arc<Pauses>) -> HttpRemote {
    let pause: Arc<dyn Pause> = Arc::<Pauses>::clone(pauses);
    HttpRemote::new(Options { pause: Some(pause), ..options() }).unwrap()
}

const ONCE: RetryPolicy = RetryPolicy { attempts: 1, delay: 1, statuses: Vec::new() };

fn thrice() -> RetryPolicy {
    RetryPolicy { attempts: 3, delay: 100, statuses: vec![429, 503] }
}

fn request(method: Method, url: &str) -> HttpRequest {
    HttpRequest {
        method,
        url: url.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        retries: ONCE,
    }
}

fn get(url: &str) -> HttpRequest {
    request(Method::Get, url)
}

/// An answer as text, of at most 1 MiB.
fn text(answer: HttpResponse<HttpBody>) -> String {
    String::from_utf8(answer.body.bytes(1 << 20).unwrap()).unwrap()
}

/// The error of a request that must fail, which must not contain the token.
fn failure(result: Result<HttpResponse<HttpBody>, HttpError>) -> HttpError {
    let error = result.map(|answer| answer.status).unwrap_err();
    assert!(!format!("{error:?}").contains(TOKEN), "{error:?}");
    error
}
