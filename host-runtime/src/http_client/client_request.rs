//! A request that can be sent any number of times.

use super::RequestError;
use btdt_ports::{HttpErrorKind, HttpRequest, Method};
use bytes::Bytes;
use url::Url;

/// A request that can be sent any number of times.
#[derive(Clone)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Where it goes first; redirects may lead elsewhere.
    pub url: Url,
    /// Names and values, without the token and what belongs to the connection.
    pub headers: Vec<(String, String)>,
    /// Its body; may be empty.
    pub body: Bytes,
}

impl Request {
    /// A request without headers.
    ///
    /// # Errors
    /// [`HttpErrorKind::Url`]
    pub fn new(method: Method, url: &str, body: Bytes) -> Result<Self, RequestError> {
        Ok(Request { method, url: parse_url(url)?, headers: Vec::new(), body })
    }

    /// The request that the core asks for.
    ///
    /// # Errors
    /// [`HttpErrorKind::Url`]
    pub fn of_core(request: &HttpRequest) -> Result<Self, RequestError> {
        let body = Bytes::copy_from_slice(&request.body);
        let headers = request.headers.clone();
        Ok(Request { headers, ..Request::new(request.method, &request.url, body)? })
    }

    /// The same with a `Content-Type`.
    #[must_use]
    pub fn with_content_type(mut self, media_type: &str) -> Self {
        self.headers.push(("content-type".to_owned(), media_type.to_owned()));
        self
    }

    /// The method as it is sent.
    #[must_use]
    pub const fn method_name(&self) -> &'static str {
        match self.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Put => "PUT",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        }
    }
}

/// Parses the URL of a request. Errors do not repeat any of it, because an invalid URL may
/// contain a password.
fn parse_url(text: &str) -> Result<Url, RequestError> {
    let refuse = |why: &str| RequestError::permanent(HttpErrorKind::Url, why);
    let url =
        Url::parse(text).map_err(|error| refuse(&format!("the URL is not valid: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refuse("the URL does not begin with http:// or https:// and a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse(
            "the URL contains a user name or password, of which there are none here",
        ));
    }
    Ok(url)
}
